// The objective of one micro-batch: log-probs of its targets, terms of the loss, KL and entropy, weighted sum.
#include "update/micro_batch_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <utility>

#include "grpo/algo/critic.h"
#include "grpo/algo/packed.h"
#include "grpo/base/error.h"
#include "grpo/kernels/upload.h"
#include "grpo/update/profile.h"

namespace grpo::update {
namespace {

// Brings each of `tensors` ([n] fp32) to the device, all of them in one copy; undefined ones stay undefined.
void to_device(const std::vector<at::Tensor*>& tensors, at::Device device) {
  if (device.is_cpu()) return;
  std::vector<at::Tensor> rows;
  for (const at::Tensor* tensor : tensors) {
    if (tensor->defined()) rows.push_back(*tensor);
  }
  const auto all = kernels::Upload(device, /*in_place=*/false)(at::stack(rows));
  int64_t next = 0;
  for (at::Tensor* tensor : tensors) {
    if (tensor->defined()) *tensor = all[next++];
  }
}

at::Tensor advantages_of(const std::vector<Sequence>& sequences, const MicroBatch& micro) {
  std::vector<float> values;
  for (size_t i = 0; i < micro.sequences.size(); ++i) {
    const auto& own = sequences[micro.sequences[i]].advantages;
    const auto targets = static_cast<size_t>(micro.offsets[i + 1] - micro.offsets[i]);
    GRPO_CHECK(own.size() == 1 || own.size() == targets, own.size(), " advantages for ", targets, " targets");
    if (own.size() == 1) values.insert(values.end(), targets, own[0]);
    if (own.size() != 1) values.insert(values.end(), own.begin(), own.end());
  }
  return at::tensor(values, at::kFloat);
}

// A member of the sequences that has a number for each target, one sequence after the other. Undefined where no
// sequence has these numbers; either all have them or none.
at::Tensor carried_of(const std::vector<Sequence>& sequences, const MicroBatch& micro,
                      std::vector<float> Sequence::*member) {
  std::vector<float> values;
  for (const size_t index : micro.sequences) {
    const auto& own = sequences[index].*member;
    values.insert(values.end(), own.begin(), own.end());
  }
  if (values.empty()) return {};
  GRPO_CHECK(static_cast<int64_t>(values.size()) == micro.offsets.back(), values.size(), " numbers for ",
             micro.offsets.back(), " targets");
  return at::tensor(values, at::kFloat);
}

at::Tensor weights_of(const std::vector<Sequence>& sequences, const MicroBatch& micro, algo::Aggregation aggregation,
                      double scale) {
  auto weights = algo::token_weights(micro.offsets, aggregation, scale);
  for (size_t i = 0; i < micro.sequences.size(); ++i) {
    const double weight = sequences[micro.sequences[i]].weight;
    if (weight != 1.0) weights.narrow(0, micro.offsets[i], micro.offsets[i + 1] - micro.offsets[i]).mul_(weight);
  }
  return weights;
}

// Sequence::reference_log_prob of all sequences, [b]; undefined where one of them has none.
at::Tensor known_references(const std::vector<Sequence>& sequences, const MicroBatch& micro) {
  std::vector<double> values;
  for (const size_t index : micro.sequences) {
    if (!sequences[index].reference_log_prob) return {};
    values.push_back(*sequences[index].reference_log_prob);
  }
  return at::tensor(values, at::kDouble);
}

at::Tensor references_of(const Learner& learner, const std::vector<Sequence>& sequences, const MicroBatch& micro) {
  if (!learner.objective.against_reference) return {};
  const auto known = known_references(sequences, micro);
  if (known.defined()) return kernels::Upload(learner.model.device(), /*in_place=*/false)(known);
  GRPO_CHECK(learner.reference != nullptr, "a learner without a reference");
  const TraceRange range("reference");
  const auto log_probs = target_log_probs(*learner.reference, micro, learner.objective.of_reference());
  return algo::sum_per_rollout(log_probs.to(at::kDouble), micro.offsets);
}

GroupInputs group_inputs(const Learner& learner, const std::vector<Sequence>& sequences, const MicroBatch& micro,
                         double scale) {
  GroupInputs inputs{.values = {}, .weights = {}, .reference = references_of(learner, sequences, micro)};
  for (const size_t index : micro.sequences) inputs.values.push_back(sequences[index].advantages.at(0));
  std::vector<double> weights;
  for (size_t k = 0; k + 1 < micro.groups.size(); ++k)
    weights.push_back(scale * sequences[micro.sequences[static_cast<size_t>(micro.groups[k])]].weight);
  inputs.weights = kernels::Upload(learner.model.device(), /*in_place=*/false)(at::tensor(weights, at::kDouble));
  return inputs;
}

// The hidden states that predict the micro-batch's targets, [n, hidden].
at::Tensor hidden_rows(const models::CausalLM& model, const MicroBatch& micro) {
  return model.hidden_states(micro.packed).index_select(0, micro.hidden_rows);
}

nn::LmHeadOptions head_options(const Objective& objective) {
  return {.temperature = objective.temperature,
          .entropy_grad = objective.entropy_coef > 0.0,
          .truncation = objective.truncation};
}

// The loss of a piece of the targets; what its terms measure goes into `measures`. `offsets` say where the targets of
// each sequence begin. A loss whose terms depend on their own token alone may be given all targets as one sequence.
at::Tensor loss_of(const Objective& objective, const TokenInputs& tokens, at::IntArrayRef offsets,
                   const at::Tensor& log_probs, const at::Tensor& entropy, std::vector<algo::Measure>& measures) {
  auto policy = algo::policy_loss(
      objective.policy, {.log_probs = log_probs,
                         .old_log_probs = tokens.old_log_probs.defined() ? tokens.old_log_probs : log_probs.detach(),
                         .advantages = tokens.advantages,
                         .rollout_offsets = offsets});
  measures = std::move(policy.measures);
  at::Tensor terms = policy.terms;
  if (tokens.reference.defined()) {
    const auto kl = algo::kl_penalty(log_probs, tokens.reference, objective.kl_estimator);
    measures.push_back({"kl/reference", algo::Fold::kMean, kl.detach().sum()});
    terms = terms + objective.kl_coef * kl;
  }
  if (objective.entropy_coef > 0.0) terms = terms - objective.entropy_coef * entropy;
  return (terms * tokens.weights).sum();
}

// The loss of whole groups. offsets and group_offsets are MicroBatch::offsets and groups.
at::Tensor loss_of_groups(const Objective& objective, const GroupInputs& groups, at::IntArrayRef offsets,
                          at::IntArrayRef group_offsets, const at::Tensor& log_probs,
                          std::vector<algo::Measure>& measures) {
  auto compared = algo::preference_loss(*objective.preference, {.log_probs = log_probs,
                                                                .rollout_offsets = offsets,
                                                                .reference = groups.reference,
                                                                .values = groups.values,
                                                                .group_offsets = group_offsets});
  measures = std::move(compared.measures);
  return (compared.terms * groups.weights).sum().to(at::kFloat);
}

// The weighted sum of a critic's terms. `tokens` are the inputs of the targets that `values` belong to.
at::Tensor loss_of_values(const Objective& objective, const TokenInputs& tokens, const at::Tensor& values,
                          std::vector<algo::Measure>& measures) {
  auto value = algo::value_loss(objective.value->clip,
                                {.values = values, .old_values = tokens.old_values, .returns = tokens.returns});
  measures = std::move(value.measures);
  return (value.terms * tokens.weights).sum();
}

nn::HeadLoss critic_loss(const Learner& learner, const MicroBatch& micro, const TokenInputs& inputs, UpdateSums& sums) {
  const auto values = target_values(learner.model, micro);
  std::vector<algo::Measure> measures;
  const auto loss = loss_of_values(learner.objective, inputs, values, measures);
  sums.add(measures);
  return {loss, values.detach(), at::zeros_like(values)};
}

}  // namespace

TokenInputs TokenInputs::slice(int64_t begin, int64_t size) const {
  const auto part = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, begin, size) : x; };
  return {part(advantages), part(weights),    part(sampler_log_probs), part(old_log_probs),
          part(reference),  part(old_values), part(returns),           {}};
}

TokenInputs token_inputs(const Learner& learner, const std::vector<Sequence>& sequences, const MicroBatch& micro,
                         double scale) {
  TokenInputs inputs{.advantages = advantages_of(sequences, micro),
                     .weights = weights_of(sequences, micro, learner.objective.aggregation, scale),
                     .sampler_log_probs = carried_of(sequences, micro, &Sequence::sampler_log_probs),
                     .old_log_probs = carried_of(sequences, micro, &Sequence::old_log_probs),
                     .reference = {},
                     .old_values = carried_of(sequences, micro, &Sequence::old_values),
                     .returns = carried_of(sequences, micro, &Sequence::returns)};
  to_device({&inputs.advantages, &inputs.weights, &inputs.sampler_log_probs, &inputs.old_log_probs, &inputs.old_values,
             &inputs.returns},
            learner.model.device());
  if (learner.objective.preference) {
    inputs.groups = group_inputs(learner, sequences, micro, scale);
  } else if (learner.objective.kl_coef > 0.0) {
    const TraceRange range("reference");
    inputs.reference = target_log_probs(*learner.reference, micro, learner.objective.of_reference());
  }
  return inputs;
}

nn::HeadLoss micro_batch_loss(const Learner& learner, const MicroBatch& micro, const TokenInputs& inputs,
                              UpdateSums& sums) {
  const Objective& objective = learner.objective;
  if (objective.value) return critic_loss(learner, micro, inputs, sums);
  const auto hidden = hidden_rows(learner.model, micro);
  const auto measured_loss = [&](const TokenInputs& tokens, at::IntArrayRef offsets, const at::Tensor& log_probs,
                                 const at::Tensor& entropy) {
    std::vector<algo::Measure> measures;
    auto loss = tokens.groups ? loss_of_groups(objective, *tokens.groups, offsets, micro.groups, log_probs, measures)
                              : loss_of(objective, tokens, offsets, log_probs, entropy, measures);
    sums.add(measures);
    return loss;
  };
  const auto options = head_options(objective);
  if (!objective.preference && algo::is_per_token(objective.policy.loss)) {
    return nn::head_loss(hidden, learner.model.head_weight(), micro.targets, options,
                         [&](int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy) {
                           const int64_t size = log_probs.size(0);
                           return measured_loss(inputs.slice(begin, size), {0, size}, log_probs, entropy);
                         });
  }
  const auto current = nn::token_log_probs(hidden, learner.model.head_weight(), micro.targets, options);
  const auto loss = measured_loss(inputs, micro.offsets, current.log_probs, current.entropy);
  return {loss, current.log_probs, current.entropy, current.kept};
}

std::vector<algo::Measure> measures_of(const TokenInputs& inputs, const nn::HeadLoss& head) {
  const at::NoGradGuard no_grad;
  const auto& sampler = inputs.sampler_log_probs;
  // The sampler reports log-probs of the whole distribution, so the truncation is taken back before they are compared.
  const auto whole = head.kept.defined() ? head.log_probs + head.kept : head.log_probs;
  const auto kl = sampler.defined() ? algo::kl_penalty(sampler, whole, algo::KlEstimator::kK3).sum()
                                    : at::zeros({}, head.loss.options());
  return {{"loss", algo::Fold::kSum, head.loss.detach()},
          {"entropy", algo::Fold::kMean, head.entropy.sum()},
          {"kl/sampler", algo::Fold::kLargestMean, kl}};
}

std::vector<algo::Measure> measures_of_nothing(const Objective& objective) {
  const auto none = at::empty({0}, at::kFloat);
  const TokenInputs inputs{.advantages = none,
                           .weights = none,
                           .sampler_log_probs = none,
                           .old_log_probs = none,
                           .reference = objective.kl_coef > 0.0 ? none : at::Tensor()};
  std::vector<algo::Measure> of_terms;
  if (objective.value) {
    const auto nothing = loss_of_values(
        objective, {.advantages = none, .weights = none, .old_values = none, .returns = none}, none, of_terms);
    auto measures = measures_of({}, {nothing, none, none});
    measures.insert(measures.end(), of_terms.begin(), of_terms.end());
    return measures;
  }
  const auto zeros = none.to(at::kDouble);
  const GroupInputs groups{
      .values = {}, .weights = zeros, .reference = objective.against_reference ? zeros : at::Tensor()};
  const auto loss = objective.preference ? loss_of_groups(objective, groups, {0}, {0}, none, of_terms)
                                         : loss_of(objective, inputs, {0}, none, none, of_terms);
  auto measures = measures_of(inputs, {loss, none, none});
  measures.insert(measures.end(), of_terms.begin(), of_terms.end());
  return measures;
}

at::Tensor target_values(const models::CausalLM& critic, const MicroBatch& micro) {
  return at::matmul(hidden_rows(critic, micro), critic.head_weight().t()).squeeze(1).to(at::kFloat);
}

at::Tensor target_log_probs(const models::CausalLM& model, const MicroBatch& micro, const Objective& objective) {
  const at::NoGradGuard no_grad;
  nn::LmHeadOptions options = head_options(objective);
  options.entropy = false;
  return nn::token_log_probs(hidden_rows(model, micro), model.head_weight(), micro.targets, options).log_probs;
}

}  // namespace grpo::update
