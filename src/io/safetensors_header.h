#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "grpo/io/safetensors.h"

namespace grpo::io {

// A .safetensors file consists of the header's length (u64, little-endian), the header and the bytes of all tensors.
// The header is a JSON object NAME -> {dtype, shape, data_offsets: [begin, end)} with offsets from the end of the
// header. The tensors fill the data without gap or overlap.

/// The tensors as views into `file`, after all checks. `path` is only for messages. Throws base::IoError.
std::map<std::string, TensorBytes> parse_safetensors(std::span<const std::byte> file,
                                                     const std::filesystem::path& path);

/// The length field and the header, padded with spaces to a multiple of 8 bytes, for tensors stored in this order.
std::string make_safetensors_header(const std::vector<const std::pair<std::string, TensorBytes>*>& tensors);

/// Number of elements, or -1 when it does not fit into int64_t.
int64_t num_elements(const std::vector<int64_t>& shape);

}  // namespace grpo::io
