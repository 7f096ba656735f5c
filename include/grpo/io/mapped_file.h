#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace grpo::io {

/// A read-only mapping of a whole file; the system loads a page when it is first touched.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace grpo::io
