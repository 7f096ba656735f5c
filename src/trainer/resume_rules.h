#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// A key, or a section, that may have another value when a run continues, and why that leaves its mathematics alone.
struct FreeKey {
  std::string_view prefix;
  std::string_view why;
};

/// The one table of free keys (docs/faq.md has it for users).
std::span<const FreeKey> free_keys();

/// A value of the configuration, or an input, that is another one than when the run was started.
struct Change {
  std::string what;  // a key such as optimizer.lr
  std::string was;
  std::string is;
};

/// What differs between a saved configuration and this one, the free keys aside; nothing where there is no saved one.
/// other_folder: the run continues under another name.
std::vector<Change> changed_keys(const std::filesystem::path& saved_config, const TrainConfig& now, bool other_folder);

/// Throws base::ConfigError naming the first change and what can be done. checkpoint: the one that the proposed --fork
/// would go on from.
void refuse_changes(const std::vector<Change>& changes, const std::filesystem::path& checkpoint);

}  // namespace grpo::trainer
