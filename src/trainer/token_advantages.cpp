// The part of a step that is PPO's (arXiv 1707.06347): values -> rewards at tokens -> advantages at tokens -> critic.
#include "trainer/token_advantages.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "grpo/algo/aggregation.h"
#include "grpo/algo/critic.h"
#include "grpo/algo/kl.h"
#include "trainer/live_rollouts.h"
#include "trainer/sum_over_ranks.h"

namespace grpo::trainer {
namespace {

using update::Sequence;
using Member = std::vector<float> Sequence::*;

// The sequences of the rollouts that count in the loss; appends the indices of these to `rollouts`.
std::vector<Sequence> counted_sequences(const StepContext& context, const RolloutBatch& batch,
                                        std::vector<size_t>& rollouts) {
  std::vector<Sequence> sequences;
  for (size_t i = 0; i < batch.rollouts.size(); ++i) {
    const Rollout& rollout = batch.rollouts[i];
    if (!counts_in_loss(context.config.algorithm, rollout)) continue;
    rollouts.push_back(i);
    sequences.push_back(update::sequence_of(batch.prompts[rollout.prompt].ids, rollout.completion.ids));
    sequences.back().sampler_log_probs = rollout.completion.log_probs;
  }
  return sequences;
}

// Gives every rank the numbers of all sequences, of which each rank has computed those of its share.
void share(std::vector<Sequence>& sequences, Member member, dist::Communicator& communicator) {
  std::vector<double> all;
  for (auto& sequence : sequences) {
    auto& own = sequence.*member;
    own.resize(sequence.sampler_log_probs.size(), 0.0f);
    all.insert(all.end(), own.begin(), own.end());
  }
  all = sum_over_ranks(all, communicator);
  auto next = all.begin();
  for (auto& sequence : sequences) {
    for (float& value : sequence.*member) value = static_cast<float>(*next++);
  }
}

// The estimate of the KL to the reference at each token of a completion, without the coefficient.
std::vector<double> kl_of(const Sequence& sequence, const KlConfig& config) {
  const auto kl = algo::kl_penalty(at::tensor(sequence.sampler_log_probs), at::tensor(sequence.reference_log_probs),
                                   config.estimator)
                      .to(at::kDouble);
  return {kl.const_data_ptr<double>(), kl.const_data_ptr<double>() + kl.numel()};
}

// Returns the rewards of each sequence's tokens, and sets Rollout::kl and stats.kl_reference.
std::vector<std::vector<double>> token_rewards(const StepContext& context, std::vector<Sequence>& sequences,
                                               const std::vector<size_t>& rollouts, RolloutBatch& batch,
                                               StepStats& stats) {
  const KlConfig& kl = context.config.algorithm.kl;
  const bool subtracts = kl.coef > 0.0 && kl.in == KlIn::kReward;
  if (subtracts) {
    update::set_reference_log_probs(context.learner, watch_of(context), sequences);
    share(sequences, &Sequence::reference_log_probs, context.learner.communicator);
  }
  std::vector<std::vector<double>> rewards;
  double sum = 0.0, tokens = 0.0;
  for (size_t k = 0; k < sequences.size(); ++k) {
    Rollout& rollout = batch.rollouts[rollouts[k]];
    rewards.emplace_back(rollout.completion.ids.size(), 0.0);
    if (subtracts) rewards.back() = kl_of(sequences[k], kl);
    rollout.kl = 0.0;
    for (double& reward : rewards.back()) {
      sum += reward;
      reward *= -kl.coef;
      rollout.kl -= reward;
    }
    tokens += static_cast<double>(rewards.back().size());
    rewards.back().back() += rollout.score.reward;
  }
  if (subtracts) stats.kl_reference = sum / std::max(tokens, 1.0);
  return rewards;
}

// Centres the advantages of all tokens of the step and divides them by their deviation. Every rank has all of them.
void normalise(RolloutBatch& batch, double epsilon) {
  double count = 0.0, sum = 0.0, squares = 0.0;
  for (const Rollout& rollout : batch.rollouts) {
    for (const double advantage : rollout.token_advantages) {
      count += 1.0;
      sum += advantage;
    }
  }
  const double mean = sum / std::max(count, 1.0);
  for (const Rollout& rollout : batch.rollouts) {
    for (const double advantage : rollout.token_advantages) squares += (advantage - mean) * (advantage - mean);
  }
  const double deviation = std::sqrt(squares / std::max(count, 1.0));
  for (Rollout& rollout : batch.rollouts) {
    for (float& advantage : rollout.token_advantages)
      advantage = static_cast<float>((advantage - mean) / (deviation + epsilon));
  }
}

double mean_of(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float value : values) sum += value;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

}  // namespace

void set_token_advantages(const StepContext& context, RolloutBatch& batch, StepStats& stats) {
  const PpoConfig& config = context.config.algorithm.ppo;
  std::vector<size_t> rollouts;
  auto sequences = counted_sequences(context, batch, rollouts);
  update::set_values(*context.critic, watch_of(context), sequences);
  share(sequences, &Sequence::old_values, context.learner.communicator);
  const auto rewards = token_rewards(context, sequences, rollouts, batch, stats);
  algo::ExplainedVariance explained;
  for (size_t k = 0; k < sequences.size(); ++k) {
    Rollout& rollout = batch.rollouts[rollouts[k]];
    rollout.values = sequences[k].old_values;
    const auto estimates = algo::estimate_advantages({.gamma = config.gamma, .lambda = config.lambda}, rewards[k],
                                                     std::vector<double>(rollout.values.begin(), rollout.values.end()));
    rollout.token_advantages.assign(estimates.advantages.begin(), estimates.advantages.end());
    rollout.returns.assign(estimates.returns.begin(), estimates.returns.end());
    for (size_t t = 0; t < rollout.values.size(); ++t) explained.add(rollout.values[t], estimates.returns[t]);
  }
  if (config.normalise) normalise(batch, context.config.algorithm.advantage.std_eps);
  for (Rollout& rollout : batch.rollouts) rollout.advantage = mean_of(rollout.token_advantages);
  stats.critic = {.explained_variance = explained.value(), .value_mean = explained.mean_value()};
}

UpdateStats update_critic(const StepContext& context, const RolloutBatch& batch,
                          const std::vector<std::vector<size_t>>& parts) {
  std::vector<UpdateStats> updates;
  for (int64_t epoch = 0; epoch < context.config.trainer.epochs_per_step; ++epoch) {
    for (const auto& part : parts) {
      update::Batch learned;
      double tokens = 0.0;
      for (const size_t i : part) {
        const Rollout& rollout = batch.rollouts[i];
        if (rollout.values.empty()) continue;
        learned.sequences.push_back(update::sequence_of(batch.prompts[rollout.prompt].ids, rollout.completion.ids));
        learned.sequences.back().advantages = {0.0f};
        learned.sequences.back().old_values = rollout.values;
        learned.sequences.back().returns = rollout.returns;
        tokens += static_cast<double>(rollout.values.size());
      }
      learned.scale = algo::loss_scale(algo::Aggregation::kTokenMean, {.tokens = std::max(tokens, 1.0)});
      // This watch has no should_stop: the policy has changed already, so the step has to be finished.
      updates.push_back(
          update::update_weights(*context.critic, {.name = watch_of(context).name + ", critic"}, learned));
    }
  }
  return update::mean_of_updates(updates);
}

}  // namespace grpo::trainer
