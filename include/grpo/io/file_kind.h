#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace grpo::io {

/// The end of a message about a file that could not be read. When its first bytes show that it is a Git LFS pointer,
/// UTF-16, compressed, a web page or another known format: "; it is ..." with what to do about it. Otherwise "".
std::string kind_hint(std::string_view first_bytes);

/// kind_hint of the file's first bytes; "" when the file cannot be read.
std::string kind_hint_of(const std::filesystem::path& path);

/// The path without .gz, .zst or .xz at its end, so that extension() gives the format: a.jsonl.gz becomes a.jsonl.
std::filesystem::path without_compression(const std::filesystem::path& path);
bool is_compressed(const std::filesystem::path& path);

}  // namespace grpo::io
