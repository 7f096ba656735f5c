#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// What happens to the run's folder before its first step.
enum class Before {
  kNothing,    // there is none, or it holds nothing of a run
  kCutBack,    // to its newest checkpoint; the steps after it are repeated
  kGoBack,     // to an earlier checkpoint; what came after it is moved into aside.<n>/
  kStartOver,  // without a checkpoint; what there is is moved into aside.<n>/
  kSetAside,   // the folder is renamed <name>.<n>
};

struct StartPlan {
  std::filesystem::path folder;                     // run.output/run.name
  std::optional<std::filesystem::path> checkpoint;  // whole; none: fresh start
  Before before = Before::kNothing;
  int64_t step = 0;  // of the checkpoint
};

/// The folder run.output/run.name. Throws base::ConfigError for a name that leaves run.output, by "..", "/" or a link.
std::filesystem::path folder_of(const RunConfig& run);

/// Throws base::ConfigError when the folder holds something where a run's files go but is no run of this program (a
/// run.json of ours says so), or when one of those files is a link.
void check_ours(const std::filesystem::path& folder);

/// `--resume`: auto, never, or a checkpoint folder (docs/reliability.md). Reads everything and changes nothing. Throws
/// base::CheckpointError, with what to do, when a checkpoint that is needed is damaged; base::ConfigError.
StartPlan plan_start(const RunConfig& run, const std::string& resume);

/// Does what the plan says. Returns the folder's new name after kSetAside, otherwise plan.folder. Of what a run has
/// made nothing is deleted except the steps after a checkpoint that are taken again from there.
std::filesystem::path carry_out(const StartPlan& plan);

}  // namespace grpo::trainer
