#include "io/decompress.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "grpo/base/error.h"

namespace grpo::io {
namespace fs = std::filesystem;
namespace {

using Buffer = std::array<char, 1 << 16>;

[[noreturn]] void fail_damaged(const fs::path& path, const char* format) {
  throw base::IoError(path.string() + ": not a whole " + format + " file; copy or download it again");
}

constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib's way to ask for gzip's header

}  // namespace

std::string decompress_xz(const std::string& compressed, const fs::path& path) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK) {
    throw base::IoError(path.string() + ": cannot start the xz decoder");
  }
  stream.next_in = reinterpret_cast<const uint8_t*>(compressed.data());
  stream.avail_in = compressed.size();
  std::string text;
  Buffer buffer{};
  lzma_ret status = LZMA_OK;
  while (status == LZMA_OK) {
    stream.next_out = reinterpret_cast<uint8_t*>(buffer.data());
    stream.avail_out = buffer.size();
    status = lzma_code(&stream, LZMA_FINISH);
    text.append(buffer.data(), buffer.size() - stream.avail_out);
  }
  lzma_end(&stream);
  if (status != LZMA_STREAM_END) fail_damaged(path, ".xz");
  return text;
}

std::string decompress_gzip(const std::string& compressed, const fs::path& path) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) throw base::IoError(path.string() + ": cannot start the gzip decoder");
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> closing(&stream, inflateEnd);
  std::string text;
  Buffer buffer{};
  size_t taken = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    if (stream.avail_in == 0) {  // its counters have 32 bits
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data())) + taken;
      stream.avail_in = static_cast<uInt>(std::min<size_t>(compressed.size() - taken, 1 << 30));
      taken += stream.avail_in;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = buffer.size();
    status = inflate(&stream, Z_NO_FLUSH);
    text.append(buffer.data(), buffer.size() - stream.avail_out);
    if (status == Z_STREAM_END && taken - stream.avail_in < compressed.size()) status = inflateReset(&stream);
  }
  if (status != Z_STREAM_END) fail_damaged(path, ".gz");
  return text;
}

std::string decompress_zstd(const std::string& compressed, const fs::path& path) {
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(), ZSTD_freeDStream);
  std::string text;
  Buffer buffer{};
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  size_t left = 1;
  bool full = false;  // the decoder may hold back what did not fit
  while (in.pos < in.size || full) {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    left = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(left) != 0) fail_damaged(path, ".zst");
    text.append(buffer.data(), out.pos);
    full = out.pos == out.size;
  }
  if (left != 0) fail_damaged(path, ".zst");
  return text;
}

}  // namespace grpo::io
