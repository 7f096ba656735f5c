#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace grpo::trainer {

/// The names of the algorithms that a recorded step is replayed under. The first is `run`, the run's own settings; the
/// others are in their published forms (advantage, loss and aggregation together: the table in replay.cpp).
std::vector<std::string> replayed_algorithms();

struct ReplayOptions {
  std::string run;             // its folder
  std::vector<int64_t> steps;  // empty: step 1 and every step after a checkpoint, where they were recorded
  /// Uses the weights after this step in place of those that sampled. The sampler's log-probs are then the old ones, so
  /// that ratios are not 1.
  std::optional<int64_t> at = {};
  std::string device = {};  // overrides model.device of the run, where given
  int64_t threads = 0;
};

/// The gradients of one recorded step under each algorithm, over all trained weights, in fp32, before clipping.
struct ReplayedStep {
  int64_t step = 0;
  int64_t rollouts = 0;                      // rollouts that were recorded
  int64_t sampled = 0;                       // rollouts of the step by metrics.jsonl; not all need have been recorded
  int64_t groups = 0;                        // groups that were recorded
  int64_t live = 0;                          // groups whose rewards differ
  std::vector<double> norms;                 // [K] in the order of replayed_algorithms()
  std::vector<std::vector<double>> cosines;  // [K][K]; NaN where a norm is 0
};

/// Recomputes the gradients of recorded steps (rollouts/step_*.jsonl) at the weights that sampled them: those of the
/// checkpoint before the step, or the start weights for step 1. Nothing in the run's folder changes, and neither data
/// nor graders are needed. Throws base::ConfigError or base::IoError for a folder that is no run, a run of adapters, of
/// method ppo or of written texts, a step that was not recorded, or weights that no checkpoint has (it names the steps
/// that are there).
std::vector<ReplayedStep> replay(const ReplayOptions& options);

}  // namespace grpo::trainer
