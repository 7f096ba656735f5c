#include "grpo/io/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "io/descriptor.h"

namespace grpo::io {
namespace fs = std::filesystem;

MappedFile::MappedFile(const fs::path& path) {
  const Descriptor file = open_regular(path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail(path, "cannot read");
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return;
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail(path, "cannot map");
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace grpo::io
