#pragma once

#include <cstdint>
#include <filesystem>
#include <map>

#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// The groups of a step as write_rollouts() left them: ids, log-probs, rewards and what was subtracted from them. Of
/// prompts it has id and ids, of verdicts whether they are right. Advantages are as they were. Throws base::IoError
/// naming file and line where the file is missing or is not such a one.
RolloutBatch read_rollouts(const std::filesystem::path& path);

/// How many rollouts each step of a run sampled, by its metrics.jsonl; of these write_rollouts() may have left out
/// some.
std::map<int64_t, int64_t> sampled_rollouts(const std::filesystem::path& run);

}  // namespace grpo::trainer
