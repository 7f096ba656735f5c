#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grpo/trainer/policy.h"
#include "grpo/trainer/train.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// The number of steps of a run: trainer.steps, or floor(epochs * epoch / prompts_per_step) where that is null. epoch:
/// the draws of an epoch (train_shares.h). Throws base::ConfigError where it would be 0.
int64_t steps_of(const TrainConfig& config, int64_t epoch);

/// How much there is to train on.
struct DataExtent {
  int64_t problems = 0;
  int64_t epoch = 0;  // draws of an epoch; another number than that of the problems where sets have weights
};

/// Spells out what this run does wherever implementations disagree. It is logged at start.
std::string resolved_choices(const TrainConfig& config, const Policy& policy, const DataExtent& data, int64_t steps);

/// What `--dry-run` prints (describe_plan in train.h). Reads config.json, the tokenizer and the data, and
/// loads no weights.
std::string plan_text(const TrainConfig& config, int64_t ranks, std::optional<double> memory_gb,
                      const PlanAssumptions& assumptions = {});

/// The number of threads to use: `wanted`, or for 0 the number of cores that this process may run on (affinity and
/// cgroup quota).
int num_threads(int64_t wanted);

}  // namespace grpo::trainer
