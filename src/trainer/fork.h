#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "grpo/trainer/train_config.h"
#include "trainer/resume_rules.h"

namespace grpo::trainer {

/// A new run that goes on from another run's checkpoint, with its weights, optimizer, step and place in the data. Its
/// configuration and inputs may differ, and run.json says in what.
struct Fork {
  std::filesystem::path checkpoint;
  std::vector<Change> changes;
};

/// What --fork CHECKPOINT means for the run's folder as --resume: CHECKPOINT, or "auto" when this fork has checkpoints
/// of its own.
std::string resume_of_fork(const RunConfig& run, const std::string& checkpoint);

/// Throws base::ConfigError when a plain start would begin a fork anew from model.path, since it has no checkpoint of
/// its own yet. resume: auto, never, or a checkpoint folder.
void check_fork_begun(const RunConfig& run, const std::string& resume);

/// Writes "forked_from" into run.json: the checkpoint, and what has changed since it.
void record_fork(const std::filesystem::path& folder, const Fork& fork);

}  // namespace grpo::trainer
