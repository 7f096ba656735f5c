#include "grpo/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "io/atomic_file.h"
#include "io/decompress.h"
#include "io/descriptor.h"

namespace grpo::io {
namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  const Descriptor file = open_regular(path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail(path, "cannot read");
  std::string text;
  text.reserve(static_cast<size_t>(info.st_size));
  std::array<char, 1 << 16> buffer{};
  while (const size_t count = file.read_some(buffer.data(), buffer.size(), path)) text.append(buffer.data(), count);
  return text;
}

std::string read_maybe_compressed(const fs::path& path) {
  std::string bytes = read_file(path);
  const auto ending = path.extension();
  const size_t most = most_decompressed(bytes.size());
  if (ending == ".gz") return decompress_gzip(bytes, path, most);
  if (ending == ".zst") return decompress_zstd(bytes, path, most);
  return ending == ".xz" ? decompress_xz(bytes, path, most) : bytes;
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

}  // namespace grpo::io
