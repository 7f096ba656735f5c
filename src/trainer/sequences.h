#pragma once

#include <cstddef>
#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// The objective that the configuration asks for.
update::Objective objective_of(const TrainConfig& config);

/// What an update learns from `rollouts` (indices of whole groups, advantages set): those that train, and the loss's
/// scale over all.
update::Batch batch_of(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts);

/// The sequences of one scored group that train; its advantages are set here.
std::vector<update::Sequence> sequences_of_group(const TrainConfig& config, const Prompt& prompt,
                                                 std::vector<Rollout> group);

}  // namespace grpo::trainer
