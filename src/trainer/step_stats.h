#pragma once

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Counts what a scored batch shows: rewards, accuracy, lengths, verdicts.
void count_rollouts(const RolloutBatch& batch, StepStats& stats);

/// Counts live and dead groups. A group is dead when all its advantages are zero.
void count_groups(const RolloutBatch& batch, StepStats& stats);

}  // namespace grpo::trainer
