#pragma once

#include <cstdint>

#include "grpo/trainer/rollout_batch.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// What is added to the reward of a completion of this many tokens, 0 or less: with L = max_new_tokens and b =
/// overlong.buffer, penalty * (L - b - length) / b beyond L - b (DAPO, arXiv 2503.14476, equation 13).
double overlong_penalty(const RolloutConfig& config, int64_t length);

/// What the completion's length does to its reward once the terms have judged it: algorithm.truncated: zero_reward,
/// then rollout.overlong.
void apply_length_rules(const TrainConfig& config, Rollout& rollout);

}  // namespace grpo::trainer
