#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// What a start does to the run's folder before its first step.
enum class Before {
  kNothing,    // nothing: there is no folder, or it holds no results of a run
  kCutBack,    // cuts files back to the newest checkpoint; the steps after it are repeated
  kGoBack,     // cuts files back to an earlier checkpoint, after moving what came after it into aside.<n>/
  kStartOver,  // moves the results into aside.<n>/, because they have no checkpoint
  kSetAside,   // renames the folder to <name>.<n>
};

struct StartPlan {
  std::filesystem::path folder;                     // run.output/run.name
  std::optional<std::filesystem::path> checkpoint;  // to go on from, found to be whole; nullopt: a fresh start
  Before before = Before::kNothing;
  int64_t step = 0;  // step of the checkpoint; 0 without one
};

/// The folder run.output/run.name. Throws base::ConfigError for a name that leads out of run.output, by "..", "/" or a
/// link.
std::filesystem::path folder_of(const RunConfig& run);

/// Throws base::ConfigError when the folder holds something under the name of a run's file but is no run of this
/// program (is_run()), or when something of such a name is a link; base::IoError when the folder is a file.
void check_ours(const std::filesystem::path& folder);

/// Plans a start with this `--resume`: auto, never, or a checkpoint folder (docs/reliability.md). Changes nothing.
/// Throws base::CheckpointError, saying what to do, when the checkpoint to go on from is damaged; base::ConfigError for
/// a folder that is no checkpoint or already holds another run, and what check_ours() throws.
StartPlan plan_start(const RunConfig& run, const std::string& resume);

/// Does what the plan says. Returns the folder's new name after kSetAside, otherwise plan.folder. Of what a run has
/// made, only the steps after its newest checkpoint are deleted, which are taken again, and files that a killed process
/// left unfinished.
std::filesystem::path carry_out(const StartPlan& plan);

}  // namespace grpo::trainer
