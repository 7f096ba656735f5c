#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

enum class Outcome {
  kFinished,
  kStopped,  // by a signal, after saving a checkpoint
};

struct TrainOptions {
  std::string resume = "auto";  // auto, never, or a checkpoint folder
  std::string fork;             // a checkpoint folder from which a new run, with other settings, goes on; empty: none
  std::string config_folder;    // relative paths are looked up in the current directory, then here
  /// Records the second step of this process to profile/step-N.rank-R.json in the run's folder.
  bool profile = false;
};

/// Runs the whole training: all steps, with evaluation, checkpoints and the run folder. Throws base::Error or a type
/// derived from it, whose message says what the user can do.
Outcome train(TrainConfig config, const TrainOptions& options);

/// What a plan assumes where the files are not on this machine.
struct PlanAssumptions {
  std::optional<int64_t> rows;  // the number of problems of data.train; nullopt: they are read
  std::string shape;            // the model's: "1.5b", "7b", ..., or a config.json; empty: that of model.path
};

/// Describes what train() would do: every batch word translated, steps, time, and the memory of one of `ranks` ranks by
/// component. memory_gb: plans for GPUs of so many GB; nullopt: for this machine. Loads the data but no weights, and
/// samples nothing. Throws base::ConfigError or base::IoError.
std::string describe_plan(TrainConfig config, const TrainOptions& options, int64_t ranks = 1,
                          std::optional<double> memory_gb = {}, const PlanAssumptions& assumptions = {});

/// Asks a running train() to save and return; safe to call from a signal handler. At the first call the step under way
/// is finished if that is possible within checkpoint.stop_within_s, and else dropped; at the second it is dropped.
/// Calls within a second of one that counted are taken for the same signal. Returns how many calls have counted.
int64_t request_stop();

}  // namespace grpo::trainer
