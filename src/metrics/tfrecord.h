#pragma once

#include <string>
#include <vector>

namespace grpo::metrics {

/// One TFRecord frame around `bytes`.
std::string frame_record(const std::string& bytes);

/// The records of a TFRecord file; stops at the first that is cut off or whose checksums are wrong.
std::vector<std::string> read_records(const std::string& file);

}  // namespace grpo::metrics
