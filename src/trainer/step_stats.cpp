#include "trainer/step_stats.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "trainer/group_sizes.h"

namespace grpo::trainer {
namespace {

using Kind = verifier::Verdict::Kind;

bool has_failed(const Rollout& rollout) { return rollout.score.failed(); }

// Adds one of n rewards, and the values of its terms, to the means.
void add_rewards(const reward::Score& score, double n, StepStats& stats) {
  stats.reward_mean += score.reward / n;
  stats.term_means.resize(score.values.size());
  for (size_t i = 0; i < score.values.size(); ++i) stats.term_means[i] += score.values[i] / n;
}

// The mean of every figure of graders, over the completions that have it.
std::map<std::string, double> grader_means(const RolloutBatch& batch) {
  std::map<std::string, double> means;
  std::map<std::string, double> counts;
  for (const Rollout& rollout : batch.rollouts) {
    for (const auto& [name, value] : rollout.score.metrics) {
      means[name] += value;
      counts[name] += 1.0;
    }
  }
  for (auto& [name, mean] : means) mean /= counts[name];
  return means;
}

}  // namespace

void count_rollouts(const RolloutBatch& batch, StepStats& stats) {
  const auto n = static_cast<double>(batch.rollouts.size());
  const auto failed = std::count_if(batch.rollouts.begin(), batch.rollouts.end(), has_failed);
  const double scored = std::max(n - static_cast<double>(failed), 1.0);
  stats.rewards_failed = failed;
  stats.grader_means = grader_means(batch);
  for (const Rollout& rollout : batch.rollouts) {
    const auto length = static_cast<int64_t>(rollout.completion.ids.size());
    if (!has_failed(rollout)) add_rewards(rollout.score, scored, stats);
    stats.accuracy += (rollout.is_right() ? 1.0 : 0.0) / n;
    stats.tokens_completion += length;
    stats.length_max = std::max(stats.length_max, length);
    stats.truncated += rollout.truncated() ? 1 : 0;
    stats.unparsable += rollout.score.verdict.kind == Kind::kUnparsable ? 1 : 0;
    stats.over_budget += rollout.score.verdict.kind == Kind::kOverBudget ? 1 : 0;
  }
  double variance = 0.0;
  for (const Rollout& rollout : batch.rollouts) {
    if (!has_failed(rollout)) variance += std::pow(rollout.score.reward - stats.reward_mean, 2) / scored;
  }
  stats.reward_std = std::sqrt(variance);
}

bool has_advantage(const RolloutBatch& batch, size_t q) {
  const auto [first, last] = batch.range_of(q);
  for (size_t i = first; i < last; ++i) {
    if (batch.rollouts[i].advantage != 0.0) return true;
  }
  return false;
}

void count_groups(const RolloutConfig& config, const RolloutBatch& batch, StepStats& stats) {
  for (size_t q = 0; q < batch.prompts.size(); ++q) {
    const auto [first, last] = batch.range_of(q);
    const bool all_right =
        std::all_of(batch.rollouts.begin() + static_cast<int64_t>(first),
                    batch.rollouts.begin() + static_cast<int64_t>(last), std::mem_fn(&Rollout::is_right));
    const bool extended =
        config.adaptive.mode == AdaptiveMode::kExtend && static_cast<int64_t>(last - first) > first_size(config);
    ++(has_advantage(batch, q) ? stats.groups_live : all_right ? stats.groups_dead_right : stats.groups_dead_wrong);
    stats.groups_extended += extended ? 1 : 0;
  }
  stats.groups_replaced = batch.num_groups() - config.prompts_per_step;
}

}  // namespace grpo::trainer
