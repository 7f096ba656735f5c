#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace grpo::io {

/// The most bytes that a compressed file may become: 200 times its own size, which texts hardly reach, but at least
/// 1 GiB, and never more than 64 GiB. A few kilobytes of zeros (a decompression bomb) could else fill the memory.
size_t most_decompressed(size_t compressed);

/// The whole text of compressed bytes; several streams one after another count as one. path: for messages.
/// Throws base::IoError when they end early, are damaged, are no such format (saying which they are), or become more
/// than `most` bytes.
std::string decompress_xz(const std::string& compressed, const std::filesystem::path& path, size_t most);
std::string decompress_gzip(const std::string& compressed, const std::filesystem::path& path, size_t most);
std::string decompress_zstd(const std::string& compressed, const std::filesystem::path& path, size_t most);

}  // namespace grpo::io
