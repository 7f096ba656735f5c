#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
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

/// The groups that a step learns from, in the order of its draws. `replaced` tied groups are left out, the first ones
/// first, since fresh prompts were asked for that many. Which groups are tied, is_live() says, as when they were
/// replaced: with algorithm.kl.in: reward they have advantages too.
std::vector<size_t> learned_groups(const TrainConfig& config, const RolloutBatch& batch, int64_t replaced);

/// The rollouts of these groups.
std::vector<size_t> rollouts_of(const RolloutBatch& batch, std::span<const size_t> groups);

/// The scale of the loss over an update batch of these rollouts. Whether rollouts of dead groups (all of whose
/// advantages are 0; where preferences are learned: that have no better and no worse one) count in it,
/// algorithm.denominator says. A rollout of a live group counts also where its own advantage is 0. Every rank knows all
/// rollouts, so no rank needs to ask another.
double loss_scale(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts);

}  // namespace grpo::trainer
