#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace grpo::trainer {

/// The algorithms that a recorded step is replayed under, in their published forms (advantage, loss and aggregation
/// together, as the table in replay.cpp has them), `run` first: the run's own settings.
std::vector<std::string> replayed_algorithms();

struct ReplayOptions {
  std::string run;             // its folder
  std::vector<int64_t> steps;  // empty: every step after a checkpoint that is there
  /// The weights after this step instead of those that sampled; the sampled log-probs are then the old ones of ratios.
  std::optional<int64_t> at = {};
  std::string device = {};  // overrides model.device of the run, where given
  int64_t threads = 0;
};

/// The gradients of one recorded step under each algorithm, over all trained weights, in fp32, before clipping.
struct ReplayedStep {
  int64_t step = 0;
  int64_t rollouts = 0;  // that were recorded
  int64_t sampled = 0;   // of the step, as metrics.jsonl says; more than `rollouts`: the rest was not recorded
  int64_t groups = 0;
  int64_t live = 0;                          // groups whose rewards differ
  std::vector<double> norms;                 // [K] as replayed_algorithms()
  std::vector<std::vector<double>> cosines;  // [K][K]; NaN where a norm is 0
};

/// Recomputes the gradients of recorded steps (rollouts/step_*.jsonl) at the weights that sampled them: those of the
/// checkpoint before the step, or the start weights for step 1. Nothing in the run's folder changes, and neither data
/// nor graders are needed. Throws base::ConfigError or base::IoError: no run, a step that was not recorded, or weights
/// that no checkpoint has (it names those that are there).
std::vector<ReplayedStep> replay(const ReplayOptions& options);

}  // namespace grpo::trainer
