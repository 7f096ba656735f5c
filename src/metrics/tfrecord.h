#pragma once

#include <string>
#include <vector>

namespace grpo::metrics {

/// One TFRecord frame: the length (u64), the length's masked CRC-32C (u32), the bytes, the bytes' masked CRC-32C (u32).
std::string frame_record(const std::string& bytes);

/// The records of a TFRecord file up to the first one that is cut off or whose checksums are wrong.
std::vector<std::string> read_records(const std::string& file);

}  // namespace grpo::metrics
