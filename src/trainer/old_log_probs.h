#pragma once

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Fills Rollout::old_log_probs of every rollout that may be trained: from one pass of the trainer, or from the sampler
/// (`algorithm.old_logprobs`). Needed only when a step makes several updates.
void set_old_log_probs(StepContext& context, RolloutBatch& batch);

}  // namespace grpo::trainer
