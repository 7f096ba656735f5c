#pragma once

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Adds to new stats what a scored batch shows: rewards, accuracy, lengths, verdicts.
void count_rollouts(const RolloutBatch& batch, StepStats& stats);

/// Whether the group of prompt q is live, that is whether one of its advantages is not zero.
bool has_advantage(const RolloutBatch& batch, size_t q);

/// Counts live and dead groups, and those that were extended or replaced. REQUIRES: advantages are set.
void count_groups(const RolloutConfig& config, const RolloutBatch& batch, StepStats& stats);

}  // namespace grpo::trainer
