#pragma once

#include <filesystem>

namespace grpo::base {

/// The folder for files that can be made again: GRPO_CACHE, else grpo-train in XDG_CACHE_HOME or in ~/.cache. Empty
/// when none of GRPO_CACHE, XDG_CACHE_HOME and HOME is set. The folder may not exist yet.
std::filesystem::path cache_folder();

}  // namespace grpo::base
