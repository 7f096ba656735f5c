#include "trainer/live_rollouts.h"

#include "trainer/preferences.h"
#include "trainer/step_stats.h"

namespace grpo::trainer {

bool counts_in_loss(const AlgorithmConfig& config, const Rollout& rollout) {
  return !rollout.score.failed() && !(config.truncated == Truncated::kMask && rollout.truncated());
}

bool trains(const AlgorithmConfig& config, const Rollout& rollout) {
  if (!counts_in_loss(config, rollout)) return false;
  return rollout.advantage != 0.0 || has_critic(config) || kl_in_loss(config) > 0.0 || config.entropy_coef > 0.0;
}

std::vector<size_t> live_rollouts(const TrainConfig& config, const RolloutBatch& batch,
                                  const std::vector<size_t>& rollouts) {
  std::vector<size_t> live;
  if (prefers(config.algorithm)) {
    for (const auto& preferred : preferences_of(config, batch.rollouts, rollouts)) live.push_back(preferred.rollout);
    return live;
  }
  for (const size_t index : rollouts) {
    if (trains(config.algorithm, batch.rollouts[index])) live.push_back(index);
  }
  return live;
}

std::vector<size_t> learned_groups(const TrainConfig& config, const RolloutBatch& batch, int64_t replaced) {
  std::vector<size_t> groups;
  for (size_t q = 0; q < batch.prompts.size(); ++q) {
    const auto [first, last] = batch.range_of(q);
    if (replaced > 0 && !is_live(config, {batch.rollouts.begin() + static_cast<std::ptrdiff_t>(first),
                                          batch.rollouts.begin() + static_cast<std::ptrdiff_t>(last)})) {
      --replaced;
    } else {
      groups.push_back(q);
    }
  }
  return groups;
}

std::vector<size_t> rollouts_of(const RolloutBatch& batch, std::span<const size_t> groups) {
  std::vector<size_t> rollouts;
  for (const size_t q : groups) {
    const auto [first, last] = batch.range_of(q);
    for (size_t i = first; i < last; ++i) rollouts.push_back(i);
  }
  return rollouts;
}

double loss_scale(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  if (prefers(config.algorithm)) return scale_of_groups(config, batch.rollouts, rollouts);
  std::vector<algo::RolloutCount> counts;
  for (const size_t index : rollouts) {
    const Rollout& rollout = batch.rollouts[index];
    counts.push_back(
        {.tokens = counts_in_loss(config.algorithm, rollout) ? static_cast<int64_t>(rollout.completion.ids.size()) : 0,
         .live = has_advantage(batch, rollout.prompt)});
  }
  auto sums = algo::count_denominators(counts, config.algorithm.denominator, config.algorithm.empty_rows);
  sums.max_new_tokens = static_cast<double>(config.rollout.max_new_tokens);
  return algo::loss_scale(config.algorithm.aggregation, sums);
}

}  // namespace grpo::trainer
