#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/models/model_config.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// Warnings, printed at start, of settings that are allowed but contradict each other, the sampler's distribution, the
/// model's context or what this CPU is fast at.
std::vector<std::string> sampling_warnings(const TrainConfig& config, const models::ModelConfig& model,
                                           at::ScalarType dtype, bool cuda);

/// What a plan can warn of besides: keys that have no effect, or another one than one may think, and training problems
/// that are evaluated on.
std::vector<std::string> plan_warnings(const TrainConfig& config, int64_t steps,
                                       const std::vector<data::Problem>& train,
                                       const std::vector<data::Problem>& evaluated, int64_t ranks);

}  // namespace grpo::trainer
