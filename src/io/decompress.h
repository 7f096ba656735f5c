#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace grpo::io {

/// The most bytes that a compressed file of this size may become: 200 times its own size (texts hardly
/// compress better), but at least 1 GiB and at most 64 GiB. Without this bound a few kilobytes of zeros (a
/// decompression bomb) could fill the memory.
size_t most_decompressed(size_t compressed);

/// The whole text of compressed bytes; several compressed streams one after another are read as one text. `path` is
/// only for messages. Throws base::IoError when the bytes end early, are damaged, are in another format (the message
/// names it where it is known), or become more than `most` bytes.
std::string decompress_xz(const std::string& compressed, const std::filesystem::path& path, size_t most);
std::string decompress_gzip(const std::string& compressed, const std::filesystem::path& path, size_t most);
std::string decompress_zstd(const std::string& compressed, const std::filesystem::path& path, size_t most);

}  // namespace grpo::io
