// The policy update: which groups train, their micro-batches, loss and backward, and the optimizer step.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/nn/lm_head.h"
#include "grpo/trainer/grpo_step.h"
#include "trainer/across_ranks.h"
#include "trainer/memory_plan.h"
#include "trainer/micro_batch.h"
#include "trainer/old_log_probs.h"
#include "trainer/profile.h"
#include "trainer/step_stats.h"
#include "trainer/stopping.h"

namespace grpo::trainer {
namespace {

bool counts_in_loss(const AlgorithmConfig& config, const Rollout& rollout) {
  return !(config.truncated == Truncated::kMask && rollout.truncated());
}

// With KL and entropy off a zero advantage gives a zero gradient: such rollouts need no forward pass.
bool trains(const AlgorithmConfig& config, const Rollout& rollout) {
  if (!counts_in_loss(config, rollout)) return false;
  return rollout.advantage != 0.0 || config.kl.coef > 0.0 || config.entropy_coef > 0.0;
}

// Per update batch, over all rollouts of it (algorithms: "Aggregation"), also those that are not run. Every rank knows
// all rollouts, so nothing is reduced.
algo::Denominators denominators(const StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  const AlgorithmConfig& config = context.config.algorithm;
  std::vector<algo::RolloutCount> counts;
  for (const size_t index : rollouts) {
    const Rollout& rollout = batch.rollouts[index];
    counts.push_back({.tokens = counts_in_loss(config, rollout) ? static_cast<int64_t>(rollout.completion.ids.size()) : 0,
                      .live = rollout.advantage != 0.0});
  }
  auto sums = algo::count_denominators(counts, config.denominator, config.empty_rows);
  sums.max_new_tokens = static_cast<double>(context.config.rollout.max_new_tokens);
  return sums;
}

// One float per completion token of the micro-batch, from one float per rollout.
at::Tensor per_token(const MicroBatch& micro, const std::vector<float>& per_rollout, at::Device device) {
  std::vector<float> values;
  for (size_t i = 0; i < per_rollout.size(); ++i) {
    values.insert(values.end(), static_cast<size_t>(micro.rollout_offsets[i + 1] - micro.rollout_offsets[i]), per_rollout[i]);
  }
  return at::tensor(values, at::kFloat).to(device);
}

at::Tensor advantages_of(const RolloutBatch& batch, const MicroBatch& micro, at::Device device) {
  std::vector<float> values;
  for (const size_t index : micro.rollouts) values.push_back(static_cast<float>(batch.rollouts[index].advantage));
  return per_token(micro, values, device);
}

at::Tensor sampler_log_probs(const RolloutBatch& batch, const MicroBatch& micro, at::Device device) {
  std::vector<float> values;
  for (const size_t index : micro.rollouts) {
    const auto& log_probs = batch.rollouts[index].completion.log_probs;
    values.insert(values.end(), log_probs.begin(), log_probs.end());
  }
  return at::tensor(values, at::kFloat).to(device);
}

// log pi_old of the micro-batch; undefined when the policy that sampled is the one that trains (then pi_old = pi).
at::Tensor old_log_probs(const RolloutBatch& batch, const MicroBatch& micro, at::Device device) {
  std::vector<float> values;
  for (const size_t index : micro.rollouts) {
    const auto& log_probs = batch.rollouts[index].old_log_probs;
    values.insert(values.end(), log_probs.begin(), log_probs.end());
  }
  return values.empty() ? at::Tensor() : at::tensor(values, at::kFloat).to(device);
}

// Hidden states that predict the micro-batch's completion tokens, [n, hidden].
at::Tensor hidden_rows(const models::CausalLM& model, const MicroBatch& micro) {
  return model.hidden_states(micro.packed).index_select(0, micro.hidden_rows);
}

nn::LmHeadOptions head_options(const TrainConfig& config) {
  return {.temperature = config.rollout.temperature, .entropy_grad = config.algorithm.entropy_coef > 0.0};
}

// Without gradient.
at::Tensor log_probs_of(const models::CausalLM& model, const MicroBatch& micro, const TrainConfig& config) {
  const at::NoGradGuard no_grad;
  nn::LmHeadOptions options = head_options(config);
  options.entropy = false;
  return nn::token_log_probs(hidden_rows(model, micro), model.head_weight(), micro.targets, options).log_probs;
}

// What the objective needs of each completion token, [n] each.
struct TokenInputs {
  at::Tensor advantages;
  at::Tensor old_log_probs;  // undefined: the policy's own
  at::Tensor reference;      // log-probs of the reference; undefined without the KL term
  at::Tensor weights;        // of the token's term in the loss

  TokenInputs slice(int64_t begin, int64_t size) const {
    const auto part = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, begin, size) : x; };
    return {part(advantages), part(old_log_probs), part(reference), part(weights)};
  }
};

TokenInputs inputs_of(const StepContext& context, const RolloutBatch& batch, const MicroBatch& micro,
                      const algo::Denominators& denominators, at::Device device) {
  const AlgorithmConfig& config = context.config.algorithm;
  return {.advantages = advantages_of(batch, micro, device),
          .old_log_probs = old_log_probs(batch, micro, device),
          .reference = config.kl.coef > 0.0 ? log_probs_of(*context.reference, micro, context.config) : at::Tensor(),
          .weights = algo::token_weights(micro.rollout_offsets, config.aggregation, denominators, device)};
}

// The loss of some tokens, and what is measured on the way. rollout_offsets: of these tokens.
at::Tensor objective(const AlgorithmConfig& config, const TokenInputs& tokens, at::IntArrayRef rollout_offsets,
                     const at::Tensor& log_probs, const at::Tensor& entropy, UpdateStats& stats) {
  const auto policy = algo::policy_loss(
      config.policy, {.log_probs = log_probs,
                      .old_log_probs = tokens.old_log_probs.defined() ? tokens.old_log_probs : log_probs.detach(),
                      .advantages = tokens.advantages,
                      .rollout_offsets = rollout_offsets});
  stats.clip_fraction += static_cast<double>(policy.clipped_tokens);
  stats.ratio_max = std::max(stats.ratio_max, policy.ratio_max);
  at::Tensor terms = policy.terms;
  if (tokens.reference.defined()) terms = terms + config.kl.coef * algo::kl_penalty(log_probs, tokens.reference, config.kl.estimator);
  if (config.entropy_coef > 0.0) terms = terms - config.entropy_coef * entropy;
  return (terms * tokens.weights).sum();
}

void measure(const RolloutBatch& batch, const MicroBatch& micro, const at::Tensor& log_probs, const at::Tensor& entropy,
             UpdateStats& stats) {
  const at::NoGradGuard no_grad;
  const auto sampler = sampler_log_probs(batch, micro, log_probs.device());
  stats.kl_sampler += algo::kl_penalty(sampler, log_probs.detach(), algo::KlEstimator::kK3).sum().item<double>();
  stats.entropy += entropy.detach().sum().item<double>();
  stats.tokens += micro.targets.numel();
}

nn::HeadLoss loss_of(const models::CausalLM& model, const MicroBatch& micro, const TokenInputs& inputs, const TrainConfig& config,
                     UpdateStats& stats) {
  const auto hidden = hidden_rows(model, micro);
  const auto options = head_options(config);
  if (algo::is_per_token(config.algorithm.policy.loss)) {
    return nn::head_loss(hidden, model.head_weight(), micro.targets, options,
                         [&](int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy) {
                           const int64_t size = log_probs.size(0);
                           return objective(config.algorithm, inputs.slice(begin, size), {0, size}, log_probs, entropy, stats);
                         });
  }
  const auto current = nn::token_log_probs(hidden, model.head_weight(), micro.targets, options);
  const auto loss = objective(config.algorithm, inputs, micro.rollout_offsets, current.log_probs, current.entropy, stats);
  return {loss, current.log_probs, current.entropy};
}

void run_micro_batch(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts,
                     const algo::Denominators& denominators, bool last, UpdateStats& stats) {
  const models::CausalLM& model = *context.policy.model;
  context.optimizer.begin_pass(last);
  const auto micro = pack_micro_batch(batch, rollouts, model.device());
  const auto inputs = inputs_of(context, batch, micro, denominators, model.device());
  std::optional<Phase> phase(std::in_place, "forward");
  const auto head = loss_of(model, micro, inputs, context.config, stats);
  phase.emplace("backward");
  head.loss.backward();
  context.optimizer.accumulate();
  stats.loss += head.loss.item<double>();
  measure(batch, micro, head.log_probs, head.entropy, stats);
}

void to_means(UpdateStats& stats) {
  if (stats.tokens == 0) return;
  const auto tokens = static_cast<double>(stats.tokens);
  stats.entropy /= tokens;
  stats.clip_fraction /= tokens;
  stats.kl_sampler /= tokens;
}

std::vector<size_t> live_of(const StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  std::vector<size_t> live;
  for (const size_t index : rollouts) {
    if (trains(context.config.algorithm, batch.rollouts[index])) live.push_back(index);
  }
  return live;
}

using MicroBatches = std::vector<std::vector<size_t>>;

MicroBatches micro_batches_of(const StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& live, int64_t rank) {
  const auto share = balanced_share(batch, live, context.policy.model->config(), rank, context.communicator.size());
  return split_micro_batches(batch, share, context.policy.model->config(), context.config.trainer.micro_batch_tokens);
}

// The most that any rank runs: with split gradient sums every rank takes part in each one's reduction.
size_t most_micro_batches(const StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& live) {
  size_t most = 0;
  for (int64_t rank = 0; rank < context.communicator.size(); ++rank) {
    most = std::max(most, micro_batches_of(context, batch, live, rank).size());
  }
  return most;
}


}  // namespace

void set_advantages(RolloutBatch& batch, const algo::AdvantageConfig& config) {
  std::vector<double> rewards;
  for (const Rollout& rollout : batch.rollouts) rewards.push_back(rollout.score.reward);
  const auto advantages = algo::group_advantage(at::tensor(rewards, at::kDouble), batch.group_offsets, config)
                              .to(at::kDouble).contiguous();
  for (size_t i = 0; i < batch.rollouts.size(); ++i) batch.rollouts[i].advantage = advantages.const_data_ptr<double>()[i];
}

void set_old_log_probs(StepContext& context, RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  const TrainConfig& config = context.config;
  const auto live = live_of(context, batch, rollouts);
  if (config.algorithm.old_logprobs == OldLogProbs::kSampler) {
    for (const size_t i : live) batch.rollouts[i].old_log_probs = batch.rollouts[i].completion.log_probs;
    return;
  }
  const at::NoGradGuard no_grad;
  const models::CausalLM& model = *context.policy.model;
  for (const auto& part : micro_batches_of(context, batch, live, context.communicator.rank())) {
    const auto micro = pack_micro_batch(batch, part, model.device());
    const auto log_probs = log_probs_of(model, micro, config).cpu().contiguous();
    const float* values = log_probs.const_data_ptr<float>();
    for (size_t i = 0; i < part.size(); ++i) {
      batch.rollouts[part[i]].old_log_probs.assign(values + micro.rollout_offsets[i], values + micro.rollout_offsets[i + 1]);
    }
  }
}

UpdateStats accumulate_gradient(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  UpdateStats stats;
  const auto sums = denominators(context, batch, rollouts);
  const auto live = live_of(context, batch, rollouts);
  const auto parts = micro_batches_of(context, batch, live, context.communicator.rank());
  StepProgress progress{.phase = StepProgress::Phase::kUpdate, .total = static_cast<int64_t>(parts.size())};
  UpdateGate gate(context);
  const bool gate_first = reduces_each_micro_batch(context);
  stats.dropped = gate_first && gate.closes();
  if (stats.dropped) return stats;
  for (const auto& part : parts) {
    if (gate.skips()) break;
    run_micro_batch(context, batch, part, sums, stats);
    ++progress.done;
    progress.tokens = stats.tokens;
    if (context.on_progress) context.on_progress(progress);
  }
  stats.dropped = !gate_first && gate.closes();
  if (stats.dropped) return stats;
  for (size_t i = parts.size(); i < most_micro_batches(context, batch, live); ++i) context.optimizer.accumulate();
  context.communicator.enter_phase(base::concat("step ", context.step, ", reduction"));
  reduce(stats, context.communicator);
  to_means(stats);
  return stats;
}

UpdateStats update_policy(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  UpdateStats stats = accumulate_gradient(context, batch, rollouts);
  if (stats.dropped || stats.tokens == 0) return stats;  // no live group: momentum, decay, schedule and Adam's counter stand still
  const Phase phase("optimizer");
  const auto step = context.optimizer.step(context.total_updates);
  stats.grad_norm = step.applied ? step.grad_norm : 0.0;  // metrics hold finite numbers only
  stats.lr = step.lr;
  stats.applied = step.applied;
  return stats;
}

}  // namespace grpo::trainer
