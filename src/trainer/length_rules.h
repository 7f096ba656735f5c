#pragma once

#include <cstdint>

#include "grpo/trainer/rollout_batch.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// What is added to the reward of a completion of `length` tokens. With L = max_new_tokens and b = overlong.buffer it
/// is 0 up to L - b tokens and penalty * (L - b - length) / b beyond (DAPO, arXiv 2503.14476, equation 13).
double overlong_penalty(const RolloutConfig& config, int64_t length);

/// Changes the reward that the terms gave to a completion as its length demands: first algorithm.truncated:
/// zero_reward, then rollout.overlong.
void apply_length_rules(const TrainConfig& config, Rollout& rollout);

}  // namespace grpo::trainer
