#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grpo/trainer/policy.h"
#include "grpo/trainer/train.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// The steps of a run: trainer.steps, or floor(epochs * problems / prompts_per_step) where it is null.
int64_t steps_of(const TrainConfig& config, int64_t num_problems);

/// Spells out for this run the choices on which implementations disagree. It is printed at start.
std::string resolved_choices(const TrainConfig& config, const Policy& policy, int64_t num_problems, int64_t steps);

/// What `--dry-run` prints. Reads config.json and the data, loads no weights.
std::string plan_text(const TrainConfig& config, int64_t ranks, std::optional<double> memory_gb,
                      const PlanAssumptions& assumptions = {});

/// The number of threads to use: what is wanted, or for 0 the number of cores that this process may run on (affinity
/// and cgroup quota).
int num_threads(int64_t wanted);

}  // namespace grpo::trainer
