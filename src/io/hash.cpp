#include "grpo/io/hash.h"

#include "io/descriptor.h"
#include "io/hasher.h"

namespace grpo::io {
namespace fs = std::filesystem;

std::string hash_bytes(std::string_view bytes) {
  Hasher hasher;
  hasher.add(bytes);
  return hasher.digest();
}

std::string hash_file(const fs::path& path) {
  const Descriptor file = open_regular(path);
  Hasher hasher;
  std::string buffer(1 << 20, '\0');
  while (const size_t count = file.read_some(buffer.data(), buffer.size(), path)) hasher.add({buffer.data(), count});
  return hasher.digest();
}

}  // namespace grpo::io
