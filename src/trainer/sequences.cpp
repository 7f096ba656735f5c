#include "trainer/sequences.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "trainer/live_rollouts.h"
#include "trainer/preferences.h"

namespace grpo::trainer {
namespace {

// A token that the sampler drew with a higher probability than this says little about why a completion failed.
constexpr double kNearlyCertain = 0.95;

// One advantage for all tokens of a completion. With a critic, or where negative_tokens leaves tokens out, one for
// each.
std::vector<float> advantages_of(const AlgorithmConfig& config, const Rollout& rollout) {
  if (!rollout.token_advantages.empty()) return rollout.token_advantages;
  const auto advantage = static_cast<float>(rollout.advantage);
  if (config.negative_tokens == NegativeTokens::kAll || advantage >= 0.0f) return {advantage};
  std::vector<float> advantages;
  for (const float log_prob : rollout.completion.log_probs)
    advantages.push_back(static_cast<double>(log_prob) > std::log(kNearlyCertain) ? 0.0f : advantage);
  return advantages;
}

update::Sequence sequence_of(const Prompt& prompt, const Rollout& rollout, std::vector<float> advantages) {
  auto sequence = update::sequence_of(prompt.ids, rollout.completion.ids);
  sequence.advantages = std::move(advantages);
  sequence.sampler_log_probs = rollout.completion.log_probs;
  return sequence;
}

// The sequences of the rollouts that are learned from, of `chosen`, which are indices of whole groups. prompt_of:
// returns the prompt of a rollout.
template <typename PromptOf>
std::vector<update::Sequence> sequences_of(const TrainConfig& config, const std::vector<Rollout>& rollouts,
                                           const std::vector<size_t>& chosen, const PromptOf& prompt_of) {
  std::vector<update::Sequence> sequences;
  if (!prefers(config.algorithm)) {
    for (const size_t i : chosen) {
      if (trains(config.algorithm, rollouts[i]))
        sequences.push_back(
            sequence_of(prompt_of(rollouts[i]), rollouts[i], advantages_of(config.algorithm, rollouts[i])));
    }
    return sequences;
  }
  for (const auto& [i, value] : preferences_of(config, rollouts, chosen)) {
    sequences.push_back(sequence_of(prompt_of(rollouts[i]), rollouts[i], {value}));
    if (compares_groups(config.algorithm)) sequences.back().group = static_cast<int64_t>(rollouts[i].prompt);
  }
  return sequences;
}

// The objective of methods dpo and online_dpo. There is no truncation: it would leave out tokens of the policy but not
// of the reference, which did not sample.
update::Objective dpo_objective(const TrainConfig& config) {
  const bool sampled = config.algorithm.method == MethodKind::kOnlineDpo;
  return {.temperature = sampled ? config.rollout.sampling.temperature : 1.0,
          .preference = config.algorithm.dpo,
          .against_reference = true};
}

// What top-k and top-p keep is found again only with the weights that sampled. A later update of a step has other
// weights, so with several updates a step there is no truncation.
nn::HeadTruncation truncation_of(const TrainConfig& config) {
  if (config.trainer.updates_per_step * config.trainer.epochs_per_step > 1) return {};
  return {.top_k = config.rollout.sampling.top_k, .top_p = config.rollout.sampling.top_p};
}

}  // namespace

update::Objective objective_of(const TrainConfig& config) {
  const AlgorithmConfig& algorithm = config.algorithm;
  if (algorithm.method == MethodKind::kDpo || algorithm.method == MethodKind::kOnlineDpo) return dpo_objective(config);
  if (learns_written_texts(algorithm)) {  // with advantage 1 this loss is the negative log-likelihood
    return {.policy = {.loss = algo::Loss::kReinforce},
            .aggregation = algorithm.aggregation,
            .kl_coef = kl_in_loss(algorithm),
            .kl_estimator = algorithm.kl.estimator,
            .entropy_coef = algorithm.entropy_coef,
            .temperature = 1.0};
  }
  update::Objective objective{
      .policy = algorithm.policy,
      // Where preferences are learned, the mean over groups is in the scale (preferences.h), and tokens are added up.
      .aggregation = prefers(algorithm) ? algo::Aggregation::kSeqMeanTokenSum : algorithm.aggregation,
      .kl_coef = kl_in_loss(algorithm),
      .kl_estimator = algorithm.kl.estimator,
      .entropy_coef = algorithm.entropy_coef,
      .temperature = config.rollout.sampling.temperature,
      .truncation = truncation_of(config)};
  if (compares_groups(algorithm))
    objective.preference = {.beta = algorithm.policy.pair_beta, .length_normalised = true};
  return objective;
}

update::Batch batch_of(const TrainConfig& config, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  const auto prompt_of = [&](const Rollout& rollout) -> const Prompt& { return batch.prompts[rollout.prompt]; };
  return {.sequences = sequences_of(config, batch.rollouts, rollouts, prompt_of),
          .scale = loss_scale(config, batch, rollouts)};
}

std::vector<update::Sequence> sequences_of_group(const TrainConfig& config, const Prompt& prompt,
                                                 std::vector<Rollout> group) {
  RolloutBatch one{.prompts = {}, .rollouts = std::move(group), .group_offsets = {0}};
  one.group_offsets.push_back(static_cast<int64_t>(one.rollouts.size()));
  set_advantages(one, config.algorithm.advantage, config.rollout);
  std::vector<size_t> all(one.rollouts.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return sequences_of(config, one.rollouts, all, [&](const Rollout&) -> const Prompt& { return prompt; });
}

}  // namespace grpo::trainer
