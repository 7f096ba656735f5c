#include "io/decompress.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/io/file_kind.h"

namespace grpo::io {
namespace fs = std::filesystem;
namespace {

using Buffer = std::array<char, 1 << 16>;

constexpr size_t kMostTimes = 200;
constexpr size_t kAlwaysAllowed = size_t{1} << 30;
constexpr size_t kNeverAllowed = size_t{64} << 30;
constexpr uint64_t kMostXzMemory = uint64_t{1} << 30;  // for the decoder's dictionary; xz -9 needs 65 MiB

[[noreturn]] void fail_damaged(const fs::path& path, const char* format, const std::string& compressed) {
  const std::string hint = kind_hint(compressed);
  const bool is_other = !hint.empty() && hint.find(format) == std::string::npos;
  throw base::IoError(base::concat(path.string(), ": not a whole ", format, " file",
                                   is_other ? hint : "; it ends early or is damaged: copy or download it again"));
}

// Collects the text piece by piece as it is decompressed and throws as soon as it exceeds `most` bytes.
class Text {
 public:
  Text(const fs::path& path, size_t compressed, size_t most) : path_(path), compressed_(compressed), most_(most) {}
  void add(const char* bytes, size_t count) {
    if (text_.size() + count > most_) {
      throw base::IoError(base::concat(path_.string(), ": its ", compressed_, " bytes become more than ", most_,
                                       " when decompressed, as no text does; if it is meant, decompress it yourself"));
    }
    text_.append(bytes, count);
  }
  std::string take() { return std::move(text_); }

 private:
  const fs::path& path_;
  size_t compressed_, most_;
  std::string text_;
};

constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib's way to accept a gzip header only

}  // namespace

size_t most_decompressed(size_t compressed) {
  return std::clamp(kMostTimes * compressed, kAlwaysAllowed, kNeverAllowed);
}

std::string decompress_xz(const std::string& compressed, const fs::path& path, size_t most) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kMostXzMemory, LZMA_CONCATENATED) != LZMA_OK) {
    throw base::IoError(path.string() + ": cannot start the xz decoder");
  }
  const std::unique_ptr<lzma_stream, decltype(&lzma_end)> closing(&stream, lzma_end);
  stream.next_in = reinterpret_cast<const uint8_t*>(compressed.data());
  stream.avail_in = compressed.size();
  Text text(path, compressed.size(), most);
  Buffer buffer{};
  lzma_ret status = LZMA_OK;
  while (status == LZMA_OK) {
    stream.next_out = reinterpret_cast<uint8_t*>(buffer.data());
    stream.avail_out = buffer.size();
    status = lzma_code(&stream, LZMA_FINISH);
    text.add(buffer.data(), buffer.size() - stream.avail_out);
  }
  if (status != LZMA_STREAM_END) fail_damaged(path, ".xz", compressed);
  return text.take();
}

std::string decompress_gzip(const std::string& compressed, const fs::path& path, size_t most) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) throw base::IoError(path.string() + ": cannot start the gzip decoder");
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> closing(&stream, inflateEnd);
  Text text(path, compressed.size(), most);
  Buffer buffer{};
  size_t taken = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    // avail_in has 32 bits, so a file of more than 4 GiB is handed over in parts.
    if (stream.avail_in == 0) {
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data())) + taken;
      stream.avail_in = static_cast<uInt>(std::min<size_t>(compressed.size() - taken, 1 << 30));
      taken += stream.avail_in;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = buffer.size();
    status = inflate(&stream, Z_NO_FLUSH);
    text.add(buffer.data(), buffer.size() - stream.avail_out);
    if (status == Z_STREAM_END && taken - stream.avail_in < compressed.size()) status = inflateReset(&stream);
  }
  if (status != Z_STREAM_END) fail_damaged(path, ".gz", compressed);
  return text.take();
}

std::string decompress_zstd(const std::string& compressed, const fs::path& path, size_t most) {
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(), ZSTD_freeDStream);
  Text text(path, compressed.size(), most);
  Buffer buffer{};
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  size_t left = 1;
  bool holds_back = false;  // decompressed bytes that did not fit into the buffer
  while (in.pos < in.size || holds_back) {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    left = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(left) != 0) fail_damaged(path, ".zst", compressed);
    text.add(buffer.data(), out.pos);
    // A full buffer means that more may be waiting, except at the end of a frame, which zstd tells by returning 0.
    holds_back = left != 0 && out.pos == out.size;
  }
  if (left != 0) fail_damaged(path, ".zst", compressed);
  return text.take();
}

}  // namespace grpo::io
