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

/// How many rollouts each step of a run has sampled, from its metrics.jsonl. write_rollouts() need not have written all
/// of them.
std::map<int64_t, int64_t> sampled_rollouts(const std::filesystem::path& run);

}  // namespace grpo::trainer
