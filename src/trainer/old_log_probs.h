#pragma once

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Fills Rollout::old_log_probs of those of `rollouts` (one mini-batch) that this rank will train: from one pass of the
/// trainer, or from the sampler (`algorithm.old_logprobs`). Needed only when a step makes several updates.
void set_old_log_probs(StepContext& context, RolloutBatch& batch, const std::vector<size_t>& rollouts);

}  // namespace grpo::trainer
