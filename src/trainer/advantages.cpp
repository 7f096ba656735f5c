#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {
namespace {

// The rollouts whose reward is known.
std::vector<size_t> scored_rollouts(const RolloutBatch& batch) {
  std::vector<size_t> scored;
  for (size_t i = 0; i < batch.rollouts.size(); ++i) {
    if (!batch.rollouts[i].score.failed()) scored.push_back(i);
  }
  return scored;
}

// Where each group begins among these rollouts.
std::vector<int64_t> offsets_among(const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  std::vector<int64_t> offsets;
  for (const int64_t offset : batch.group_offsets) {
    const auto first = std::lower_bound(rollouts.begin(), rollouts.end(), static_cast<size_t>(offset));
    offsets.push_back(first - rollouts.begin());
  }
  return offsets;
}

}  // namespace

void set_advantages(RolloutBatch& batch, const algo::AdvantageConfig& config) {
  const auto scored = scored_rollouts(batch);
  std::vector<double> rewards;
  std::vector<double> magnitudes;
  for (const size_t index : scored) {
    const auto& score = batch.rollouts[index].score;
    rewards.push_back(score.reward);
    magnitudes.push_back(std::max(score.magnitude, std::abs(score.reward)));
  }
  const auto advantages = algo::group_advantage(at::tensor(rewards, at::kDouble), offsets_among(batch, scored), config,
                                                at::tensor(magnitudes, at::kDouble))
                              .to(at::kDouble)
                              .contiguous();
  for (Rollout& rollout : batch.rollouts) rollout.advantage = 0.0;
  for (size_t i = 0; i < scored.size(); ++i)
    batch.rollouts[scored[i]].advantage = advantages.const_data_ptr<double>()[i];
}

}  // namespace grpo::trainer
