#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/models/model_config.h"
#include "grpo/trainer/train.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// What a plan is made from. It is read from the files that the configuration names, or assumed where they are not
/// here.
struct PlanInputs {
  std::vector<data::Problem> train;
  std::vector<data::Problem> evaluated;
  models::ModelConfig model;
  std::vector<std::string> assumed;  // what was assumed, as lines for the plan
};

/// Reads or assumes the inputs of a plan. Where something is missing it throws base::ConfigError naming the option with
/// which a plan does without it (--rows, --shape).
PlanInputs plan_inputs(const TrainConfig& config, const PlanAssumptions& assumptions);

/// The dtype of the weights, as models::resolve_dtype gives it. For an assumed shape, of which no weights are there to
/// look at, dtype auto is bfloat16 on a GPU.
at::ScalarType plan_dtype(const TrainConfig& config, const PlanAssumptions& assumptions, bool cuda);

}  // namespace grpo::trainer
