#include "trainer/sequences.h"

#include <cmath>

#include "trainer/live_rollouts.h"

namespace grpo::trainer {
namespace {

// A token that the sampler drew with more than this probability says little about why a completion failed.
constexpr double kNearlyCertain = 0.95;

// One advantage for all tokens of a completion, or one for each where some of them are left out.
std::vector<float> advantages_of(const AlgorithmConfig& config, const Rollout& rollout) {
  const auto advantage = static_cast<float>(rollout.advantage);
  if (config.negative_tokens == NegativeTokens::kAll || advantage >= 0.0f) return {advantage};
  std::vector<float> advantages;
  for (const float log_prob : rollout.completion.log_probs)
    advantages.push_back(static_cast<double>(log_prob) > std::log(kNearlyCertain) ? 0.0f : advantage);
  return advantages;
}

update::Sequence sequence_of(const AlgorithmConfig& config, const Prompt& prompt, const Rollout& rollout) {
  auto sequence = update::sequence_of(prompt.ids, rollout.completion.ids);
  sequence.advantages = advantages_of(config, rollout);
  sequence.sampler_log_probs = rollout.completion.log_probs;
  return sequence;
}

// A later update of a step would not find the set that was sampled from again, since its weights are others.
nn::HeadTruncation truncation_of(const TrainConfig& config) {
  if (config.trainer.updates_per_step * config.trainer.epochs_per_step > 1) return {};
  return {.top_k = config.rollout.sampling.top_k, .top_p = config.rollout.sampling.top_p};
}

}  // namespace

update::Objective objective_of(const TrainConfig& config) {
  const AlgorithmConfig& algorithm = config.algorithm;
  if (learns_written_texts(algorithm)) {  // with advantage 1 this loss is the negative log-likelihood
    return {.policy = {.loss = algo::Loss::kReinforce},
            .aggregation = algorithm.aggregation,
            .kl_coef = kl_in_loss(algorithm),
            .kl_estimator = algorithm.kl.estimator,
            .entropy_coef = algorithm.entropy_coef,
            .temperature = 1.0};
  }
  return {.policy = algorithm.policy,
          .aggregation = algorithm.aggregation,
          .kl_coef = kl_in_loss(algorithm),
          .kl_estimator = algorithm.kl.estimator,
          .entropy_coef = algorithm.entropy_coef,
          .temperature = config.rollout.sampling.temperature,
          .truncation = truncation_of(config)};
}

update::Batch batch_of(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  update::Batch learned{.sequences = {}, .scale = loss_scale(config, batch, rollouts)};
  for (const size_t index : live_rollouts(config.algorithm, batch, rollouts)) {
    const Rollout& rollout = batch.rollouts[index];
    learned.sequences.push_back(sequence_of(config.algorithm, batch.prompts[rollout.prompt], rollout));
  }
  return learned;
}

std::vector<update::Sequence> sequences_of_group(const TrainConfig& config, const Prompt& prompt,
                                                 std::vector<Rollout> group) {
  RolloutBatch one{.prompts = {}, .rollouts = std::move(group), .group_offsets = {0}};
  one.group_offsets.push_back(static_cast<int64_t>(one.rollouts.size()));
  set_advantages(one, config.algorithm.advantage, config.rollout);
  std::vector<update::Sequence> sequences;
  for (const Rollout& rollout : one.rollouts) {
    if (trains(config.algorithm, rollout)) sequences.push_back(sequence_of(config.algorithm, prompt, rollout));
  }
  return sequences;
}

}  // namespace grpo::trainer
