#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

void set_advantages(RolloutBatch& batch, const algo::AdvantageConfig& config) {
  std::vector<double> rewards;
  std::vector<double> magnitudes;
  for (const Rollout& rollout : batch.rollouts) {
    rewards.push_back(rollout.score.reward);
    magnitudes.push_back(std::max(rollout.score.magnitude, std::abs(rollout.score.reward)));
  }
  const auto advantages = algo::group_advantage(at::tensor(rewards, at::kDouble), batch.group_offsets, config,
                                                at::tensor(magnitudes, at::kDouble))
                              .to(at::kDouble)
                              .contiguous();
  for (size_t i = 0; i < batch.rollouts.size(); ++i)
    batch.rollouts[i].advantage = advantages.const_data_ptr<double>()[i];
}

}  // namespace grpo::trainer
