#include "grpo/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "grpo/base/error.h"
#include "io/atomic_file.h"
#include "io/decompress.h"
#include "io/descriptor.h"

namespace grpo::io {
namespace fs = std::filesystem;
namespace {

// At most `size` bytes; 0 at the end.
size_t read_some(const Descriptor& file, char* buffer, size_t size, const fs::path& path) {
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, size);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) fail(path, "cannot read");
  }
}

std::string hex(const XXH128_hash_t& hash) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

}  // namespace

std::string read_file(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail(path, "cannot read");
  if (S_ISDIR(info.st_mode)) throw base::IoError(path.string() + ": is a folder, expected a file");
  std::string text;
  text.reserve(static_cast<size_t>(info.st_size));
  std::array<char, 1 << 16> buffer{};
  while (const size_t count = read_some(file, buffer.data(), buffer.size(), path)) text.append(buffer.data(), count);
  return text;
}

std::string read_maybe_compressed(const fs::path& path) {
  std::string bytes = read_file(path);
  const auto ending = path.extension();
  if (ending == ".gz") return decompress_gzip(bytes, path);
  if (ending == ".zst") return decompress_zstd(bytes, path);
  return ending == ".xz" ? decompress_xz(bytes, path) : bytes;
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void sync_path(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  if (::fsync(file.get()) != 0) fail(path, "cannot sync");
}

std::string hash_bytes(std::string_view bytes) { return hex(XXH3_128bits(bytes.data(), bytes.size())); }

std::string hash_file(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::string buffer(1 << 20, '\0');
  while (const size_t count = read_some(file, buffer.data(), buffer.size(), path)) {
    XXH3_128bits_update(state.get(), buffer.data(), count);
  }
  return hex(XXH3_128bits_digest(state.get()));
}

MappedFile::MappedFile(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail(path, "cannot read");
  if (S_ISDIR(info.st_mode)) throw base::IoError(path.string() + ": is a folder, expected a file");
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return;
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail(path, "cannot map");
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::string decode_base64(std::string_view text) {
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  if (text.size() % 4 == 1) throw base::IoError(base::concat("base64: ", text.size(), " digits cannot be whole bytes"));
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) throw base::IoError(base::concat("base64: unexpected character '", c, "'"));
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return bytes;
}

}  // namespace grpo::io
