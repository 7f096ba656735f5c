#pragma once

#include <cstddef>
#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Whether a rollout has a gradient: it does when it counts in the loss and its advantage is not zero, or KL or entropy
/// are on. The others need no forward pass.
bool trains(const AlgorithmConfig& config, const Rollout& rollout);

/// Those of `rollouts` that have a gradient.
std::vector<size_t> live_rollouts(const AlgorithmConfig& config, const RolloutBatch& batch,
                                  const std::vector<size_t>& rollouts);

/// algo::loss_scale over an update batch, in which dead rollouts count as algorithm.denominator says. Every rank knows
/// all rollouts, so nothing is reduced.
double loss_scale(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts);

}  // namespace grpo::trainer
