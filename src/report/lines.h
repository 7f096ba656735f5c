#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace grpo::report {

/// Calls `use` with each line of a JSONL file until it returns false. A last line that is cut off is left out: the run
/// may be writing it now, or have died doing so. Any other damage throws base::IoError.
void for_each_line(const std::filesystem::path& file, const std::function<bool(const nlohmann::json& line)>& use);

}  // namespace grpo::report
