#pragma once

#include <cstdint>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Adds to new stats what a scored batch shows: rewards, accuracy, lengths, verdicts. Rollouts whose reward is not
/// known count in the lengths alone.
void count_rollouts(const RolloutBatch& batch, StepStats& stats);

/// How many completions of the group of prompt q are right, of those whose reward is known.
struct Judged {
  int64_t right = 0;
  int64_t all = 0;
};
Judged judged_of(const RolloutBatch& batch, size_t q);

/// Whether the group of prompt q is live, that is whether one of its advantages is not zero.
bool has_advantage(const RolloutBatch& batch, size_t q);

/// Counts live and dead groups, and those that were extended or replaced. REQUIRES: advantages are set.
void count_groups(const RolloutConfig& config, const RolloutBatch& batch, StepStats& stats);

}  // namespace grpo::trainer
