#include "trainer/step_stats.h"

#include <algorithm>
#include <cmath>

#include "trainer/group_sizes.h"
#include "trainer/mean.h"

namespace grpo::trainer {
namespace {

using Kind = verifier::Verdict::Kind;

bool has_failed(const Rollout& rollout) { return rollout.score.failed(); }

// Mean and deviation of the rewards that are known, and the mean of each of their terms. Where all rewards are equal
// the deviation is exactly 0, which DivergenceWatch relies on.
void add_rewards(const RolloutBatch& batch, StepStats& stats) {
  std::vector<double> rewards;
  std::vector<std::vector<double>> terms;  // [term][rollout]
  for (const Rollout& rollout : batch.rollouts) {
    if (has_failed(rollout)) continue;
    rewards.push_back(rollout.score.reward);
    terms.resize(rollout.score.values.size());
    for (size_t k = 0; k < terms.size(); ++k) terms[k].push_back(rollout.score.values[k]);
  }
  stats.reward_mean = mean_of(rewards);
  for (const auto& values : terms) stats.term_means.push_back(mean_of(values));
  for (double& reward : rewards) reward = std::pow(reward - stats.reward_mean, 2);
  stats.reward_std = std::sqrt(mean_of(rewards));
}

// The mean of every figure of graders, over the completions that have it.
std::map<std::string, double> grader_means(const RolloutBatch& batch) {
  std::map<std::string, std::vector<double>> values;
  for (const Rollout& rollout : batch.rollouts) {
    for (const auto& [name, value] : rollout.score.metrics) values[name].push_back(value);
  }
  std::map<std::string, double> means;
  for (const auto& [name, all] : values) means[name] = mean_of(all);
  return means;
}

}  // namespace

void count_rollouts(const RolloutBatch& batch, StepStats& stats) {
  stats.rewards_failed = std::count_if(batch.rollouts.begin(), batch.rollouts.end(), has_failed);
  add_rewards(batch, stats);
  stats.grader_means = grader_means(batch);
  int64_t right = 0;
  for (const Rollout& rollout : batch.rollouts) {
    const auto length = static_cast<int64_t>(rollout.completion.ids.size());
    stats.tokens_completion += length;
    stats.length_max = std::max(stats.length_max, length);
    stats.truncated += rollout.truncated() ? 1 : 0;
    if (has_failed(rollout)) continue;
    right += rollout.is_right() ? 1 : 0;
    stats.unparsable += rollout.score.verdict.kind == Kind::kUnparsable ? 1 : 0;
    stats.over_budget += rollout.score.verdict.kind == Kind::kOverBudget ? 1 : 0;
  }
  const auto known = static_cast<int64_t>(batch.rollouts.size()) - stats.rewards_failed;
  stats.accuracy = static_cast<double>(right) / static_cast<double>(std::max<int64_t>(known, 1));
}

Judged judged_of(const RolloutBatch& batch, size_t q) {
  const auto [first, last] = batch.range_of(q);
  Judged judged;
  for (size_t i = first; i < last; ++i) {
    if (has_failed(batch.rollouts[i])) continue;
    ++judged.all;
    judged.right += batch.rollouts[i].is_right() ? 1 : 0;
  }
  return judged;
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
    const Judged judged = judged_of(batch, q);
    const bool all_right = judged.all > 0 && judged.right == judged.all;
    const bool extended =
        config.adaptive.mode == AdaptiveMode::kExtend && static_cast<int64_t>(last - first) > first_size(config);
    ++(has_advantage(batch, q) ? stats.groups_live : all_right ? stats.groups_dead_right : stats.groups_dead_wrong);
    stats.groups_extended += extended ? 1 : 0;
  }
  stats.groups_replaced = batch.num_groups() - config.prompts_per_step;
}

}  // namespace grpo::trainer
