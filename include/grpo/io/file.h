#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace grpo::io {

std::string read_file(const std::filesystem::path& path);
/// Like read_file, but a path ending in .gz, .zst or .xz is decompressed. Throws base::IoError for a compressed file
/// that is cut off or damaged, and for one that becomes larger than texts do: the limit is 200 times its size, but at
/// least 1 GiB and at most 64 GiB.
std::string read_maybe_compressed(const std::filesystem::path& path);

/// Writes to a temporary file in the same folder, fsyncs it, renames it over `path` and fsyncs the folder. Throws
/// base::IoError with the reason (no space left, `path` is a device, ...). `path` holds its old contents until the
/// rename; where it is a link, the link is replaced and not what it leads to.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// fsync of a file or folder that was not written by write_file_atomic.
void sync_path(const std::filesystem::path& path);

}  // namespace grpo::io
