#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "grpo/trainer/grpo_step.h"
#include "trainer/group_sizes.h"
#include "trainer/value_tracker.h"

namespace grpo::trainer {
namespace {

// The rollouts whose reward is known and that count in the comparison of their group (first_compared()).
std::vector<size_t> compared_rollouts(const RolloutBatch& batch, const RolloutConfig& config) {
  std::vector<size_t> compared;
  for (size_t q = 0; q + 1 < batch.group_offsets.size(); ++q) {
    const int64_t begin = batch.group_offsets[q], end = batch.group_offsets[q + 1];
    for (int64_t i = begin + first_compared(config, end - begin); i < end; ++i) {
      if (!batch.rollouts[static_cast<size_t>(i)].score.failed()) compared.push_back(static_cast<size_t>(i));
    }
  }
  return compared;
}

at::Tensor rewards_of(const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  std::vector<double> rewards;
  for (const size_t i : rollouts) rewards.push_back(batch.rollouts[i].score.reward - batch.rollouts[i].kl);
  return at::tensor(rewards, at::kDouble);
}

// Sets the advantages of these rollouts; all others get 0.
void store(RolloutBatch& batch, const std::vector<size_t>& rollouts, const at::Tensor& advantages) {
  for (Rollout& rollout : batch.rollouts) rollout.advantage = 0.0;
  for (size_t i = 0; i < rollouts.size(); ++i)
    batch.rollouts[rollouts[i]].advantage = advantages.const_data_ptr<double>()[i];
}

// The mean of the other values, where `one` is one of `values`. If it is the only one it is returned itself, so that
// its difference from the mean is 0.
double mean_of_others(const std::vector<double>& values, double one) {
  const auto others = static_cast<double>(values.size()) - 1.0;
  if (others < 1.0) return one;
  return (std::accumulate(values.begin(), values.end(), 0.0) - one) / others;
}

// Where each group begins among these rollouts, and their number at the end.
std::vector<int64_t> offsets_among(const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  std::vector<int64_t> offsets;
  for (const int64_t offset : batch.group_offsets) {
    const auto first = std::lower_bound(rollouts.begin(), rollouts.end(), static_cast<size_t>(offset));
    offsets.push_back(first - rollouts.begin());
  }
  return offsets;
}

}  // namespace

void set_advantages(RolloutBatch& batch, const algo::AdvantageConfig& config, const RolloutConfig& rollout) {
  const auto compared = compared_rollouts(batch, rollout);
  std::vector<double> magnitudes;
  for (const size_t index : compared) {
    const auto& score = batch.rollouts[index].score;
    magnitudes.push_back(std::max(score.magnitude, std::abs(score.reward)) + std::abs(batch.rollouts[index].kl));
  }
  store(batch, compared,
        algo::group_advantage(rewards_of(batch, compared), offsets_among(batch, compared), config,
                              at::tensor(magnitudes, at::kDouble)));
}

void set_advantages_of_singles(RolloutBatch& batch, const algo::AdvantageConfig& config, const ValueTracker& values) {
  const auto scored = compared_rollouts(batch, {});
  std::vector<double> all, unknown;
  for (const size_t i : scored) {
    const Rollout& rollout = batch.rollouts[i];
    all.push_back(rollout.score.reward - rollout.kl);
    if (!values.of(batch.prompts[rollout.prompt].row)) unknown.push_back(all.back());
  }
  std::vector<double> baselines;
  for (const size_t i : scored) {
    Rollout& rollout = batch.rollouts[i];
    const auto value = values.of(batch.prompts[rollout.prompt].row);
    rollout.baseline =
        value ? *value : mean_of_others(unknown.size() > 1 ? unknown : all, rollout.score.reward - rollout.kl);
    baselines.push_back(rollout.baseline);
  }
  store(batch, scored, algo::baseline_advantage(rewards_of(batch, scored), at::tensor(baselines, at::kDouble), config));
}

bool is_live(const TrainConfig& config, std::vector<Rollout> group) {
  const auto size = static_cast<int64_t>(group.size());
  for (Rollout& rollout : group) rollout.kl = 0.0;
  RolloutBatch one{.prompts = {}, .rollouts = std::move(group), .group_offsets = {0, size}};
  // How large an advantage is may depend on other groups, but not whether there is one, so any estimator will do.
  set_advantages(one, {.kind = algo::Advantage::kDrGrpo}, config.rollout);
  return std::any_of(one.rollouts.begin(), one.rollouts.end(), [](const Rollout& r) { return r.advantage != 0.0; });
}

}  // namespace grpo::trainer
