#pragma once

#include <cstddef>
#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Whether a rollout may have a part in the loss: its reward is known, and it is not masked for being cut off.
bool counts_in_loss(const AlgorithmConfig& config, const Rollout& rollout);

/// Whether a rollout has a gradient: it has one if it counts in the loss, and its advantage is not zero or there is a
/// critic or a KL or entropy term in the loss. The others need no forward pass.
bool trains(const AlgorithmConfig& config, const Rollout& rollout);

/// Those of `rollouts` (indices of whole groups) that have a gradient. Where preferences are learned, these are the
/// ones that are compared (preferences.h).
std::vector<size_t> live_rollouts(const TrainConfig& config, const RolloutBatch& batch,
                                  const std::vector<size_t>& rollouts);

/// The scale of the loss over an update batch of these rollouts. Whether rollouts with advantage 0 (where preferences
/// are learned: groups without a better and a worse one) count in it, algorithm.denominator says. Every rank knows all
/// rollouts, so no rank needs to ask another.
double loss_scale(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts);

}  // namespace grpo::trainer
