// The objective of one micro-batch: log-probs of its completion tokens, ratio and clipping, KL and entropy, weighted sum.
#include "trainer/micro_batch_loss.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "grpo/kernels/upload.h"
#include "trainer/profile.h"

namespace grpo::trainer {
namespace {

// Each of `tensors` ([n] fp32) on the device, in one copy; undefined ones stay so.
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

// One float per completion token, from one per rollout.
at::Tensor advantages_of(const RolloutBatch& batch, const MicroBatch& micro) {
  std::vector<float> values;
  for (const size_t index : micro.rollouts) {
    const Rollout& rollout = batch.rollouts[index];
    values.insert(values.end(), rollout.completion.ids.size(), static_cast<float>(rollout.advantage));
  }
  return at::tensor(values, at::kFloat);
}

at::Tensor sampler_log_probs(const RolloutBatch& batch, const MicroBatch& micro) {
  std::vector<float> values;
  for (const size_t index : micro.rollouts) {
    const auto& log_probs = batch.rollouts[index].completion.log_probs;
    values.insert(values.end(), log_probs.begin(), log_probs.end());
  }
  return at::tensor(values, at::kFloat);
}

at::Tensor old_log_probs(const RolloutBatch& batch, const MicroBatch& micro) {
  std::vector<float> values;
  for (const size_t index : micro.rollouts) {
    const auto& log_probs = batch.rollouts[index].old_log_probs;
    values.insert(values.end(), log_probs.begin(), log_probs.end());
  }
  return values.empty() ? at::Tensor() : at::tensor(values, at::kFloat);
}

// Hidden states that predict the micro-batch's completion tokens, [n, hidden].
at::Tensor hidden_rows(const models::CausalLM& model, const MicroBatch& micro) {
  return model.hidden_states(micro.packed).index_select(0, micro.hidden_rows);
}

nn::LmHeadOptions head_options(const TrainConfig& config) {
  return {.temperature = config.rollout.temperature, .entropy_grad = config.algorithm.entropy_coef > 0.0};
}

// The loss of some tokens. rollout_offsets: of these tokens.
at::Tensor objective(const AlgorithmConfig& config, const TokenInputs& tokens, at::IntArrayRef rollout_offsets, const at::Tensor& log_probs,
                     const at::Tensor& entropy, UpdateSums& sums) {
  const auto policy = algo::policy_loss(
      config.policy, {.log_probs = log_probs,
                      .old_log_probs = tokens.old_log_probs.defined() ? tokens.old_log_probs : log_probs.detach(),
                      .advantages = tokens.advantages,
                      .rollout_offsets = rollout_offsets});
  sums.add(policy);
  at::Tensor terms = policy.terms;
  if (tokens.reference.defined()) terms = terms + config.kl.coef * algo::kl_penalty(log_probs, tokens.reference, config.kl.estimator);
  if (config.entropy_coef > 0.0) terms = terms - config.entropy_coef * entropy;
  return (terms * tokens.weights).sum();
}

}  // namespace

TokenInputs TokenInputs::slice(int64_t begin, int64_t size) const {
  const auto part = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, begin, size) : x; };
  return {part(advantages), part(weights), part(sampler_log_probs), part(old_log_probs), part(reference)};
}

TokenInputs token_inputs(const StepContext& context, const RolloutBatch& batch, const MicroBatch& micro, double scale) {
  const AlgorithmConfig& config = context.config.algorithm;
  TokenInputs inputs{.advantages = advantages_of(batch, micro),
                     .weights = algo::token_weights(micro.rollout_offsets, config.aggregation, scale),
                     .sampler_log_probs = sampler_log_probs(batch, micro),
                     .old_log_probs = old_log_probs(batch, micro),
                     .reference = {}};
  to_device({&inputs.advantages, &inputs.weights, &inputs.sampler_log_probs, &inputs.old_log_probs}, context.policy.model->device());
  if (config.kl.coef > 0.0) {
    const Phase phase("reference");
    inputs.reference = completion_log_probs(*context.reference, micro, context.config);
  }
  return inputs;
}

nn::HeadLoss micro_batch_loss(const StepContext& context, const MicroBatch& micro, const TokenInputs& inputs, UpdateSums& sums) {
  const AlgorithmConfig& config = context.config.algorithm;
  const models::CausalLM& model = *context.policy.model;
  const auto hidden = hidden_rows(model, micro);
  const auto options = head_options(context.config);
  if (algo::is_per_token(config.policy.loss)) {
    return nn::head_loss(hidden, model.head_weight(), micro.targets, options,
                         [&](int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy) {
                           const int64_t size = log_probs.size(0);
                           return objective(config, inputs.slice(begin, size), {0, size}, log_probs, entropy, sums);
                         });
  }
  const auto current = nn::token_log_probs(hidden, model.head_weight(), micro.targets, options);
  const auto loss = objective(config, inputs, micro.rollout_offsets, current.log_probs, current.entropy, sums);
  return {loss, current.log_probs, current.entropy};
}

at::Tensor completion_log_probs(const models::CausalLM& model, const MicroBatch& micro, const TrainConfig& config) {
  const at::NoGradGuard no_grad;
  nn::LmHeadOptions options = head_options(config);
  options.entropy = false;
  return nn::token_log_probs(hidden_rows(model, micro), model.head_weight(), micro.targets, options).log_probs;
}

}  // namespace grpo::trainer
