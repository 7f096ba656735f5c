#pragma once

#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Computes PPO's advantages of a scored batch by generalized advantage estimation (algo/critic.h), from the critic's
/// value before every token and from rewards: that of the completion at its last token, and with algorithm.kl.in:
/// reward, minus kl.coef times the KL to the reference at each token. With algorithm.ppo.normalise the advantages of
/// all tokens of the step are then centred and divided by their deviation. Sets Rollout::values, returns,
/// token_advantages and kl of every rollout that counts in the loss, and Rollout::advantage to the mean over its
/// tokens. A collective. REQUIRES: the context has a critic.
void set_token_advantages(const StepContext& context, RolloutBatch& batch, StepStats& stats);

/// Makes the critic's updates: one for each of `parts` (indices of rollouts) in each epoch, in which it learns their
/// returns. A collective.
UpdateStats update_critic(const StepContext& context, const RolloutBatch& batch,
                          const std::vector<std::vector<size_t>>& parts);

}  // namespace grpo::trainer
