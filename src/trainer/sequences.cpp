#include "trainer/sequences.h"

#include "trainer/live_rollouts.h"

namespace grpo::trainer {
namespace {

update::Sequence sequence_of(const Prompt& prompt, const Rollout& rollout) {
  auto sequence = update::sequence_of(prompt.ids, rollout.completion.ids);
  sequence.advantages = {static_cast<float>(rollout.advantage)};
  sequence.sampler_log_probs = rollout.completion.log_probs;
  return sequence;
}

}  // namespace

update::Objective objective_of(const TrainConfig& config) {
  const AlgorithmConfig& algorithm = config.algorithm;
  if (learns_written_texts(algorithm)) {  // with advantage 1 this loss is the negative log-likelihood
    return {.policy = {.loss = algo::Loss::kReinforce},
            .aggregation = algorithm.aggregation,
            .kl_coef = algorithm.kl.coef,
            .kl_estimator = algorithm.kl.estimator,
            .entropy_coef = algorithm.entropy_coef,
            .temperature = 1.0};
  }
  return {.policy = algorithm.policy,
          .aggregation = algorithm.aggregation,
          .kl_coef = algorithm.kl.coef,
          .kl_estimator = algorithm.kl.estimator,
          .entropy_coef = algorithm.entropy_coef,
          .temperature = config.rollout.sampling.temperature};
}

update::Batch batch_of(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  update::Batch learned{.sequences = {}, .scale = loss_scale(config, batch, rollouts)};
  for (const size_t index : live_rollouts(config.algorithm, batch, rollouts)) {
    const Rollout& rollout = batch.rollouts[index];
    learned.sequences.push_back(sequence_of(batch.prompts[rollout.prompt], rollout));
  }
  return learned;
}

std::vector<update::Sequence> sequences_of_group(const TrainConfig& config, const Prompt& prompt,
                                                 std::vector<Rollout> group) {
  RolloutBatch one{.prompts = {}, .rollouts = std::move(group), .group_offsets = {0}};
  one.group_offsets.push_back(static_cast<int64_t>(one.rollouts.size()));
  set_advantages(one, config.algorithm.advantage);
  std::vector<update::Sequence> sequences;
  for (const Rollout& rollout : one.rollouts) {
    if (trains(config.algorithm, rollout)) sequences.push_back(sequence_of(prompt, rollout));
  }
  return sequences;
}

}  // namespace grpo::trainer
