#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// A key or section that may change when a run continues, and why such a change leaves the run's mathematics alone.
struct FreeKey {
  std::string_view prefix;
  std::string_view why;
};

/// The table of all free keys (docs/faq.md has it for users).
std::span<const FreeKey> free_keys();

/// A value of the configuration, or an input, that has changed since the run was started.
struct Change {
  std::string what;  // a key such as optimizer.lr
  std::string was;
  std::string is;
};

/// The keys, other than free ones, whose values differ between a saved configuration and this one. Without a saved one
/// there are none. other_folder: the run continues in another folder, so that run.name may differ too.
std::vector<Change> changed_keys(const std::filesystem::path& saved_config, const TrainConfig& now, bool other_folder);

/// If there is a change, throws base::ConfigError naming the first one and what can be done. checkpoint: where the
/// --fork that the message proposes would go on from.
void refuse_changes(const std::vector<Change>& changes, const std::filesystem::path& checkpoint);

}  // namespace grpo::trainer
