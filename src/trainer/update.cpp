// The policy update: which groups train, their micro-batches, loss and backward, and the optimizer step.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/trainer/grpo_step.h"
#include "trainer/across_ranks.h"
#include "trainer/gradient_pass.h"
#include "trainer/live_rollouts.h"
#include "trainer/micro_batch.h"
#include "trainer/micro_batch_loss.h"
#include "trainer/old_log_probs.h"
#include "trainer/profile.h"
#include "trainer/stopping.h"
#include "trainer/token_budget.h"

namespace grpo::trainer {
namespace {

std::vector<size_t> share_of_rank(const StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& live, int64_t rank) {
  return balanced_share(batch, live, context.policy.model->config(), rank, context.communicator.size());
}

// The most that any rank runs: with split gradient sums every rank takes part in each one's reduction.
size_t most_micro_batches(const StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& live) {
  size_t most = 0;
  for (int64_t rank = 0; rank < context.communicator.size(); ++rank) {
    const auto share = share_of_rank(context, batch, live, rank);
    most = std::max(most, split_micro_batches(batch, share, context.policy.model->config(), context.micro_batch_tokens).size());
  }
  return most;
}

// This rank's part of the gradient, in the optimizer and, where passes send it, on its way. Nothing when the ranks drop the update.
std::optional<GradientPass> run_gradient(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts,
                                         const std::vector<size_t>& live) {
  GradientPass gradient(context, loss_scale(context.config, batch, rollouts));
  StepProgress progress{.phase = StepProgress::Phase::kUpdate};
  UpdateGate gate(context);
  bool dropped = false;
  const auto pass = [&](const std::vector<size_t>& part, size_t number, size_t count) {
    const bool last = number + 1 == count;
    dropped = dropped || (context.optimizer.sends_in_pass(last) ? gate.closes() : gate.skips());
    if (dropped) return;
    gradient.run(batch, part, last);
    progress.done = static_cast<int64_t>(number + 1);
    progress.total = static_cast<int64_t>(count);
    progress.tokens = gradient.tokens();
    if (context.on_progress) context.on_progress(progress);
  };
  const auto mine = share_of_rank(context, batch, live, context.communicator.rank());
  run_in_micro_batches(context, batch, mine, pass, [&] { gradient.drop(); });
  if (gate.closes()) return std::nullopt;
  for (auto i = static_cast<size_t>(progress.done); i < most_micro_batches(context, batch, live); ++i) context.optimizer.idle_pass();
  context.communicator.enter_phase(base::concat("step ", context.step, ", reduction"));
  context.optimizer.start_reduction();
  return gradient;
}

}  // namespace

void set_advantages(RolloutBatch& batch, const algo::AdvantageConfig& config) {
  std::vector<double> rewards;
  std::vector<double> magnitudes;
  for (const Rollout& rollout : batch.rollouts) {
    rewards.push_back(rollout.score.reward);
    magnitudes.push_back(std::max(rollout.score.magnitude, std::abs(rollout.score.reward)));
  }
  const auto advantages =
      algo::group_advantage(at::tensor(rewards, at::kDouble), batch.group_offsets, config, std::nullopt, at::tensor(magnitudes, at::kDouble))
          .to(at::kDouble)
          .contiguous();
  for (size_t i = 0; i < batch.rollouts.size(); ++i) batch.rollouts[i].advantage = advantages.const_data_ptr<double>()[i];
}

void set_old_log_probs(StepContext& context, RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  const TrainConfig& config = context.config;
  const auto live = live_rollouts(config.algorithm, batch, rollouts);
  if (config.algorithm.old_logprobs == OldLogProbs::kSampler) {
    for (const size_t i : live) batch.rollouts[i].old_log_probs = batch.rollouts[i].completion.log_probs;
    return;
  }
  const Phase phase("old log-probs");
  const models::CausalLM& model = *context.policy.model;
  const auto pass = [&](const std::vector<size_t>& part, size_t, size_t) {
    const auto micro = pack_micro_batch(batch, part, model.device());
    const auto log_probs = completion_log_probs(model, micro, config).cpu().contiguous();
    const float* values = log_probs.const_data_ptr<float>();
    for (size_t i = 0; i < part.size(); ++i) {
      batch.rollouts[part[i]].old_log_probs.assign(values + micro.rollout_offsets[i], values + micro.rollout_offsets[i + 1]);
    }
  };
  run_in_micro_batches(context, batch, share_of_rank(context, batch, live, context.communicator.rank()), pass, [] {});
}

UpdateStats accumulate_gradient(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  auto gradient = run_gradient(context, batch, rollouts, live_rollouts(context.config.algorithm, batch, rollouts));
  if (!gradient) return {.dropped = true};
  gradient->sums().send();
  return measured(context, *gradient, 1.0);
}

UpdateStats update_policy(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
  const auto live = live_rollouts(context.config.algorithm, batch, rollouts);
  if (live.empty()) return {};  // on every rank alike: momentum, decay, schedule and Adam's counter stand still
  auto gradient = run_gradient(context, batch, rollouts, live);
  if (!gradient) return {.dropped = true};
  return apply_gradient(context, *gradient, 1.0);
}

}  // namespace grpo::trainer
