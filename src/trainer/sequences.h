#pragma once

#include <cstddef>
#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// The objective of the policy's updates that the configuration asks for.
update::Objective objective_of(const TrainConfig& config);

/// What an update learns from `rollouts` (indices of whole groups): the sequences of those that have a gradient, and
/// the scale of the loss over all of them. REQUIRES: advantages are set.
update::Batch batch_of(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts);

/// The sequences of those rollouts of a scored group that have a gradient. The group's advantages are computed here.
std::vector<update::Sequence> sequences_of_group(const TrainConfig& config, const Prompt& prompt,
                                                 std::vector<Rollout> group);

}  // namespace grpo::trainer
