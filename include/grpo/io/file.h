#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::io {

std::string read_file(const std::filesystem::path& path);
/// As read_file; a path ending in .gz, .zst or .xz is decompressed.
std::string read_maybe_compressed(const std::filesystem::path& path);

/// Writes to a temporary file in the same folder, fsyncs it, renames it over `path` and fsyncs the folder.
/// Throws base::IoError with the reason (no space left, ...); `path` is then untouched.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// As write_file_atomic for contents that are too large to hold: `produce` is given a function that appends bytes.
void write_parts_atomic(const std::filesystem::path& path,
                        const std::function<void(const std::function<void(std::string_view)>& append)>& produce);

/// fsync of a file or folder that was written by other means.
void sync_path(const std::filesystem::path& path);

/// XXH3-128 of a file's bytes as 32 hex digits.
std::string hash_file(const std::filesystem::path& path);
std::string hash_bytes(std::string_view bytes);

/// A read-only mapping of a whole file; pages are loaded when touched.
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

/// Standard base64 (RFC 4648) to bytes; throws base::IoError on other characters.
std::string decode_base64(std::string_view text);

}  // namespace grpo::io
