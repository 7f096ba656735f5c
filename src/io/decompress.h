#pragma once

#include <filesystem>
#include <string>

namespace grpo::io {

/// The whole text of compressed bytes; several streams one after another count as one. path: for messages.
/// Throws base::IoError when they end early or are damaged.
std::string decompress_xz(const std::string& compressed, const std::filesystem::path& path);
std::string decompress_gzip(const std::string& compressed, const std::filesystem::path& path);
std::string decompress_zstd(const std::string& compressed, const std::filesystem::path& path);

}  // namespace grpo::io
