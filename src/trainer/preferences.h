#pragma once

#include <cstddef>
#include <vector>

#include "grpo/trainer/rollout_batch.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// A rollout that is set against others of its group.
struct Preferred {
  size_t rollout = 0;  // index
  float value = 0.0f;  // greater is better
};

/// What a preference objective compares of `chosen`, which are indices of whole groups: of each group the rollouts that
/// count in the loss (live_rollouts.h) and are compared (rollout.adaptive.advantage_from). pair_logistic takes all of
/// them by their advantages; pair and online_dpo the best and the worst, the first of their kind, with 1 and -1. All
/// are in the order of the batch. A group in which none is better than another has no part in it. Advantages are set.
std::vector<Preferred> preferences_of(const TrainConfig& config, const std::vector<Rollout>& rollouts,
                                      const std::vector<size_t>& chosen);

/// 1 / the number of groups: of all of `chosen`, or with algorithm.denominator: live of those that preferences_of() has
/// something of; 0 where there is none.
double scale_of_groups(const TrainConfig& config, const std::vector<Rollout>& rollouts,
                       const std::vector<size_t>& chosen);

/// Throws base::ConfigError for what does not go with learning from preferences.
void validate_preferences(const TrainConfig& config);

}  // namespace grpo::trainer
