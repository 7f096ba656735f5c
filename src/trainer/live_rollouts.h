#pragma once

#include <cstddef>
#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Whether a rollout may have a part in the loss: its reward is known, and it is not masked for being cut off.
bool counts_in_loss(const AlgorithmConfig& config, const Rollout& rollout);

/// Whether a rollout has a gradient: it does when it counts in the loss and its advantage is not zero, or KL or entropy
/// are on. The others need no forward pass.
bool trains(const AlgorithmConfig& config, const Rollout& rollout);

/// Those of `rollouts`, which are whole groups, that have a gradient.
std::vector<size_t> live_rollouts(const TrainConfig& config, const RolloutBatch& batch,
                                  const std::vector<size_t>& rollouts);

/// The scale of the loss over an update batch, in which dead rollouts, or dead groups where preferences are learned,
/// count as algorithm.denominator says. Every rank knows all rollouts, so nothing is reduced.
double loss_scale(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts);

}  // namespace grpo::trainer
