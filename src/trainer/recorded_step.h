#pragma once

#include <cstdint>
#include <filesystem>
#include <map>

#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// Reads the groups of a step as write_rollouts() wrote them: ids, log-probs, rewards, what was subtracted from these,
/// and advantages. Prompts have only id and ids, and verdicts only say whether they are right. Throws base::IoError
/// naming file and line where the file is missing or was not written by write_rollouts().
RolloutBatch read_rollouts(const std::filesystem::path& path);

/// What metrics.jsonl says of the rollouts of a step, of which write_rollouts() need not have written all.
struct StepCounts {
  int64_t rollouts = 0;         // how many were sampled
  int64_t groups_replaced = 0;  // how many tied groups were replaced by those of fresh prompts
};

/// The counts of each step of a run.
std::map<int64_t, StepCounts> step_counts(const std::filesystem::path& run);

}  // namespace grpo::trainer
