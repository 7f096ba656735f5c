#pragma once

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Counts what a scored batch shows: rewards, accuracy, lengths, verdicts.
void count_rollouts(const RolloutBatch& batch, StepStats& stats);

/// Whether prompt q's group is live: one of its advantages is not zero.
bool has_advantage(const RolloutBatch& batch, size_t q);

/// Counts live and dead groups, and those that were extended and replaced.
void count_groups(const RolloutConfig& config, const RolloutBatch& batch, StepStats& stats);

}  // namespace grpo::trainer
