#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/models/model_config.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// Warnings that a run logs at start, of settings that are allowed but make the sampler's distribution differ from the
/// old policy's, exceed the model's context, or are slow on this CPU.
std::vector<std::string> sampling_warnings(const TrainConfig& config, const models::ModelConfig& model,
                                           at::ScalarType dtype, bool cuda);

/// What a plan warns of besides: keys that have no effect, or another effect than a reader may expect, and training
/// problems that are also evaluated on.
std::vector<std::string> plan_warnings(const TrainConfig& config, int64_t steps,
                                       const std::vector<data::Problem>& train,
                                       const std::vector<data::Problem>& evaluated, int64_t ranks);

}  // namespace grpo::trainer
