#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace grpo::io {

/// For the message about a file that could not be read: "; it is ..., ..." when its first bytes say that it is
/// something else than its name promises (a Git LFS pointer, UTF-16, compressed, a web page, another format), with what
/// to do; empty when they do not.
std::string kind_hint(std::string_view first_bytes);

/// The same of a file; empty where it cannot be read.
std::string kind_hint_of(const std::filesystem::path& path);

/// The path without .gz, .zst or .xz at its end: its extension then tells the format.
std::filesystem::path without_compression(const std::filesystem::path& path);
bool is_compressed(const std::filesystem::path& path);

}  // namespace grpo::io
