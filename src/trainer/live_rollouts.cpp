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
