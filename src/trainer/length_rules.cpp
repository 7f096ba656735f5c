#include "trainer/length_rules.h"

#include <algorithm>
#include <cmath>

namespace grpo::trainer {

double overlong_penalty(const RolloutConfig& config, int64_t length) {
  const int64_t buffer = config.overlong.buffer;
  const int64_t beyond = length - (config.max_new_tokens - buffer);
  if (buffer == 0 || beyond <= 0) return 0.0;
  return -config.overlong.penalty * static_cast<double>(std::min(beyond, buffer)) / static_cast<double>(buffer);
}

void apply_length_rules(const TrainConfig& config, Rollout& rollout) {
  reward::Score& score = rollout.score;
  if (config.algorithm.truncated == Truncated::kZeroReward && rollout.truncated()) score.reward = 0.0;
  const double penalty = overlong_penalty(config.rollout, static_cast<int64_t>(rollout.completion.ids.size()));
  score.reward += penalty;
  score.magnitude += std::abs(penalty);
}

}  // namespace grpo::trainer
