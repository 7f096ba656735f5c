#pragma once

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Sets Rollout::kl of every rollout to kl.coef times the sum over its tokens of the estimate of KL(pi | reference),
/// where log pi is what the sampler reported. Returns the mean estimate per token, without the coefficient. A
/// collective.
double set_kl_penalties(const StepContext& context, RolloutBatch& batch);

}  // namespace grpo::trainer
