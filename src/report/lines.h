#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace grpo::report {

/// Calls `use` with each line of a JSONL file until `use` returns false. A malformed last line is left out, since the
/// run may be writing it now or may have died doing so. A malformed line elsewhere throws base::IoError.
void for_each_line(const std::filesystem::path& file, const std::function<bool(const nlohmann::json& line)>& use);

}  // namespace grpo::report
