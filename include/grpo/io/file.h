#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace grpo::io {

std::string read_file(const std::filesystem::path& path);
/// As read_file; a path ending in .gz, .zst or .xz is decompressed. Throws base::IoError for a file that is not whole,
/// and for one that would become far more than a text can (200 times its size and above 1 GiB).
std::string read_maybe_compressed(const std::filesystem::path& path);

/// Writes to a temporary file in the same folder, fsyncs it, renames it over `path` and fsyncs the folder.
/// Throws base::IoError with the reason (no space left, ...); `path` is then untouched.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// fsync of a file or folder that was written by other means.
void sync_path(const std::filesystem::path& path);

}  // namespace grpo::io
