#pragma once

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Sets Rollout::kl of every rollout: kl.coef times the sum over its tokens of the estimate of KL(pi | reference), pi
/// as the sampler said. Returns its mean over tokens, without the coefficient. A collective.
double set_kl_penalties(const StepContext& context, RolloutBatch& batch);

}  // namespace grpo::trainer
