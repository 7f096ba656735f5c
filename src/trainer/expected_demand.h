#pragma once

#include <vector>

#include "grpo/rollout/engine.h"
#include "grpo/trainer/evaluate.h"
#include "grpo/trainer/rollout_batch.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// The largest demand on the sampler that any step or evaluation of the run can have.
rollout::Demand expected_demand(const TrainConfig& config, const std::vector<Prompt>& prompts,
                                const std::vector<EvalSet>& eval_sets, bool cuda);

}  // namespace grpo::trainer
