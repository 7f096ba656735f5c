#pragma once

#include <cstddef>
#include <vector>

#include "grpo/trainer/rollout_batch.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// A rollout that is compared with others of its group.
struct Preferred {
  size_t rollout = 0;  // index into the rollouts of the batch
  float value = 0.0f;  // greater is better
};

/// The rollouts that a preference objective compares, of `chosen`, which are indices of whole groups. Candidates are
/// those that count in the loss (live_rollouts.h) and that rollout.adaptive.advantage_from lets be compared. Loss
/// pair_logistic takes all candidates of a group, with their advantages as values. Loss pair and method online_dpo take
/// the best and the worst (the first of several equal ones) with the values 1 and -1. A group in which none is better
/// than another is left out. The result is in the order of the batch. REQUIRES: the rollouts' advantages are set.
std::vector<Preferred> preferences_of(const TrainConfig& config, const std::vector<Rollout>& rollouts,
                                      const std::vector<size_t>& chosen);

/// 1 / the number of groups in `chosen`, or with algorithm.denominator: live only of those that preferences_of() does
/// not leave out; 0 where there is no such group.
double scale_of_groups(const TrainConfig& config, const std::vector<Rollout>& rollouts,
                       const std::vector<size_t>& chosen);

/// Throws base::ConfigError for settings that do not go with learning from preferences, if the configuration asks for
/// that.
void validate_preferences(const TrainConfig& config);

}  // namespace grpo::trainer
