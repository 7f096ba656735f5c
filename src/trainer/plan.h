#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grpo/trainer/policy.h"
#include "grpo/trainer/train.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// trainer.steps, or floor(epochs * problems / prompts_per_step).
int64_t steps_of(const TrainConfig& config, int64_t num_problems);

/// The choices implementations disagree on, spelled out for this run: printed at start.
std::string resolved_choices(const TrainConfig& config, const Policy& policy, int64_t num_problems, int64_t steps);

/// What `--dry-run` prints. Reads config.json and the data, loads no weights.
std::string plan_text(const TrainConfig& config, int64_t ranks, std::optional<double> memory_gb,
                      const PlanAssumptions& assumptions = {});

/// 0: the cores this process may run on (affinity and cgroup quota).
int num_threads(int64_t wanted);

}  // namespace grpo::trainer
