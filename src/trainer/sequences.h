#pragma once

#include <cstddef>
#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// The objective that the configuration asks for.
update::Objective objective_of(const TrainConfig& config);

/// What an update learns from `rollouts`, which are indices of whole groups whose advantages are set: the sequences of
/// those that have a gradient, and the loss's scale over all of them.
update::Batch batch_of(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts);

/// The sequences of those of a scored group that have a gradient; the advantages are set here.
std::vector<update::Sequence> sequences_of_group(const TrainConfig& config, const Prompt& prompt,
                                                 std::vector<Rollout> group);

}  // namespace grpo::trainer
