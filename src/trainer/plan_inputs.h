#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/models/model_config.h"
#include "grpo/trainer/train.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// What a plan is made for: read from the files that the configuration names, or assumed where they are not here.
struct PlanInputs {
  std::vector<data::Problem> train;
  std::vector<data::Problem> evaluated;
  models::ModelConfig model;
  std::vector<std::string> assumed;  // a line each, for the plan
};

/// Throws base::ConfigError naming the option that does without what is missing (--rows, --shape).
PlanInputs plan_inputs(const TrainConfig& config, const PlanAssumptions& assumptions);

/// As models::resolve_dtype; bfloat16 on a GPU for an assumed shape.
at::ScalarType plan_dtype(const TrainConfig& config, const PlanAssumptions& assumptions, bool cuda);

}  // namespace grpo::trainer
