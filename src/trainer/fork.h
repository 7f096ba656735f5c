#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "grpo/trainer/train_config.h"
#include "trainer/resume_rules.h"

namespace grpo::trainer {

/// A new run that goes on from another run's checkpoint, with its weights, optimizer state, step and place in the data.
/// Configuration and inputs may differ from the other run's, and run.json says in what.
struct Fork {
  std::filesystem::path checkpoint;
  std::vector<Change> changes;
};

/// Translates --fork CHECKPOINT into what --resume would be: CHECKPOINT, or "auto" when this fork has begun already and
/// has checkpoints of its own. Throws base::ConfigError for a checkpoint of the run itself.
std::string resume_of_fork(const RunConfig& run, const std::string& checkpoint);

/// Throws base::ConfigError when the folder holds a fork that has no checkpoint of its own yet, which a start with
/// resume = "auto" would begin anew from model.path. resume: auto, never, or a checkpoint folder.
void check_fork_begun(const RunConfig& run, const std::string& resume);

/// Adds "forked_from" to the folder's run.json: the checkpoint, and what has changed since it.
void record_fork(const std::filesystem::path& folder, const Fork& fork);

}  // namespace grpo::trainer
