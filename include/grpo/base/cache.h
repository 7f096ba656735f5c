#pragma once

#include <filesystem>

namespace grpo::base {

/// Where what can be made again is kept: GRPO_CACHE, else grpo-train in XDG_CACHE_HOME or ~/.cache. Empty where none of
/// them is set. The folder may not exist yet.
std::filesystem::path cache_folder();

}  // namespace grpo::base
