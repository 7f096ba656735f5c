#include "trainer/gradient_pass.h"

#include <ATen/ATen.h>

#include <optional>

#include "trainer/across_ranks.h"
#include "trainer/micro_batch.h"
#include "trainer/micro_batch_loss.h"
#include "trainer/profile.h"

namespace grpo::trainer {
namespace {

void to_means(UpdateStats& stats) {
  if (stats.tokens == 0) return;
  const auto tokens = static_cast<double>(stats.tokens);
  stats.entropy /= tokens;
  stats.clip_fraction /= tokens;
  stats.kl_sampler /= tokens;
}

}  // namespace

GradientPass::GradientPass(StepContext& context, double scale)
    : context_(context), scale_(scale), sums_(context.policy.model->device()) {}

void GradientPass::run(const RolloutBatch& batch, const std::vector<size_t>& rollouts, bool last) {
  context_.optimizer.begin_pass(last);
  const auto micro = pack_micro_batch(batch, rollouts, context_.policy.model->device());
  const auto inputs = token_inputs(context_, batch, micro, scale_);
  std::optional<Phase> phase(std::in_place, "forward");
  const auto head = micro_batch_loss(context_, micro, inputs, sums_);
  phase.emplace("backward");
  head.loss.backward();
  context_.optimizer.accumulate();
  sums_.add(head.loss, inputs.sampler_log_probs, head.log_probs, head.entropy);
  tokens_ += micro.targets.numel();
}

void GradientPass::drop() {
  context_.optimizer.zero_grad();
  sums_ = UpdateSums(context_.policy.model->device());
  tokens_ = 0;
}

UpdateStats measured(StepContext& context, GradientPass& pass, double gradient_scale) {
  UpdateStats stats = pass.sums().receive();
  stats.loss *= gradient_scale;
  stats.tokens = pass.tokens();
  reduce(stats, context.communicator);
  to_means(stats);
  return stats;
}

UpdateStats apply_gradient(StepContext& context, GradientPass& pass, double gradient_scale) {
  pass.sums().send();
  optim::UpdateResult step;
  {
    const Phase phase("optimizer");
    step = context.optimizer.step(context.total_updates, gradient_scale);
  }
  UpdateStats stats = measured(context, pass, gradient_scale);
  stats.grad_norm = step.applied ? step.grad_norm : 0.0;  // metrics hold finite numbers only
  stats.lr = step.lr;
  stats.applied = step.applied;
  return stats;
}

}  // namespace grpo::trainer
