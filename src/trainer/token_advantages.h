#pragma once

#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// PPO's advantages of a scored batch: the critic's value before every token, the reward at the last one (with
/// algorithm.kl.in: reward also what the KL to the reference costs at each), generalized advantage estimation, and with
/// algorithm.ppo.normalise the whole step's advantages centred and divided by their deviation. Sets values, returns and
/// token advantages of every rollout that counts in the loss, and its advantage, which is the mean of its tokens'. A
/// collective. REQUIRES: the context has a critic.
void set_token_advantages(const StepContext& context, RolloutBatch& batch, StepStats& stats);

/// Lets the critic learn the returns of these batches of rollouts (indices), each once an epoch. A collective.
UpdateStats update_critic(const StepContext& context, const RolloutBatch& batch,
                          const std::vector<std::vector<size_t>>& parts);

}  // namespace grpo::trainer
