#include "trainer/step_stats.h"

#include <algorithm>
#include <cmath>

namespace grpo::trainer {
namespace {

using Kind = verifier::Verdict::Kind;

bool is_right(const Rollout& rollout) { return rollout.score.verdict.kind == Kind::kRight; }

}  // namespace

void count_rollouts(const RolloutBatch& batch, StepStats& stats) {
  const auto n = static_cast<double>(batch.rollouts.size());
  for (const Rollout& rollout : batch.rollouts) {
    const auto length = static_cast<int64_t>(rollout.completion.ids.size());
    stats.reward_mean += rollout.score.reward / n;
    stats.accuracy += (is_right(rollout) ? 1.0 : 0.0) / n;
    stats.tokens_completion += length;
    stats.length_max = std::max(stats.length_max, length);
    stats.truncated += rollout.truncated() ? 1 : 0;
    stats.unparsable += rollout.score.verdict.kind == Kind::kUnparsable ? 1 : 0;
    stats.over_budget += rollout.score.verdict.kind == Kind::kOverBudget ? 1 : 0;
  }
  double variance = 0.0;
  for (const Rollout& rollout : batch.rollouts) variance += std::pow(rollout.score.reward - stats.reward_mean, 2) / n;
  stats.reward_std = std::sqrt(variance);
}

void count_groups(const RolloutBatch& batch, StepStats& stats) {
  for (size_t q = 0; q < batch.prompts.size(); ++q) {
    const auto first = batch.rollouts.begin() + batch.group_offsets[q];
    const auto last = batch.rollouts.begin() + batch.group_offsets[q + 1];
    const bool live = std::any_of(first, last, [](const Rollout& rollout) { return rollout.advantage != 0.0; });
    if (live) {
      ++stats.groups_live;
    } else if (std::all_of(first, last, is_right)) {
      ++stats.groups_dead_right;
    } else {
      ++stats.groups_dead_wrong;
    }
  }
}

}  // namespace grpo::trainer
