#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace grpo::report {

/// Calls `use` with each line of a JSONL file until `use` returns false. A malformed last line is left out, since the
/// run may be writing it now or may have died doing so. A malformed line elsewhere throws base::IoError, and so does a
/// line in which `use` misses a key or finds a value of another type (nlohmann::json::exception); it names file and
/// line.
void for_each_line(const std::filesystem::path& file, const std::function<bool(const nlohmann::json& line)>& use);

}  // namespace grpo::report
