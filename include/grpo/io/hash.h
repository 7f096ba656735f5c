#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace grpo::io {

/// XXH3-128 as 32 hex digits.
std::string hash_file(const std::filesystem::path& path);
std::string hash_bytes(std::string_view bytes);

}  // namespace grpo::io
