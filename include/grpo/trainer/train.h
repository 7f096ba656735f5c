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
  std::string fork;             // a checkpoint folder that a new run goes on from, whatever else changes; empty: none
  std::string config_folder;    // relative paths are looked up in the current directory, then here
  bool profile =
      false;  // the second step of this process is recorded to profile/step-N.rank-R.json in the run's folder
};

/// Runs the whole training: sample, verify, advantage, update, for every step; evaluation, checkpoints and the run
/// folder. Throws base::Error for what the user can mend.
Outcome train(TrainConfig config, const TrainOptions& options);

/// What a plan takes for granted where the files are not on this machine.
struct PlanAssumptions {
  std::optional<int64_t> rows;  // problems of data.train
  std::string shape;            // "1.5b", "7b", ..., or a config.json; empty: model.path's
};

/// What `train` would do: every batch word translated, steps, and the memory of one of `ranks` ranks by component,
/// against memory_gb GB a rank (GPUs; null: this machine's memory). Loads the data but no weights, samples nothing.
std::string describe_plan(TrainConfig config, const TrainOptions& options, int64_t ranks = 1,
                          std::optional<double> memory_gb = {}, const PlanAssumptions& assumptions = {});

/// Asks a running train() to save and return; safe to call from a signal handler. The first time the step under way is
/// finished where that is possible within checkpoint.stop_within_s; the second time, a second later or more, it is
/// dropped. Returns how many times it was asked.
int64_t request_stop();

}  // namespace grpo::trainer
