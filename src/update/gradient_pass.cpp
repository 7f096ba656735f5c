#include "update/gradient_pass.h"

#include <ATen/TensorOperators.h>

#include <optional>

#include "grpo/update/profile.h"
#include "update/families.h"
#include "update/micro_batch.h"
#include "update/micro_batch_loss.h"
#include "update/passes.h"
#include "update/reduce_stats.h"

namespace grpo::update {
namespace {

void to_means(UpdateStats& stats) {
  if (stats.tokens == 0) return;
  for (Figure& figure : stats.figures) {
    if (figure.fold == algo::Fold::kMean || figure.fold == algo::Fold::kLargestMean)
      figure.value /= static_cast<double>(stats.tokens);
    if (figure.fold == algo::Fold::kGroupMean) figure.value /= static_cast<double>(stats.groups);
  }
}

}  // namespace

GradientPass::GradientPass(const Learner& learner, const Watch& watch, double scale)
    : learner_(learner),
      watch_(watch),
      scale_(scale),
      sums_(measures_of_nothing(learner.objective), learner.model.device()) {}

bool GradientPass::run(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices, bool last) {
  const bool fits =
      fits_memory(learner_, watch_, sequences, indices, [&] { forward_and_backward(sequences, indices, last); });
  if (!fits) drop();
  return fits;
}

void GradientPass::forward_and_backward(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
                                        bool last) {
  learner_.optimizer.begin_pass(last);
  const auto update = learner_.model.has_dropout() ? std::optional(learner_.optimizer.updates()) : std::nullopt;
  const auto micro = pack_micro_batch(sequences, indices, learner_.model.device(), sharing_of(learner_), update);
  const auto inputs = token_inputs(learner_, sequences, micro, scale_);
  std::optional<TraceRange> range(std::in_place, "forward");
  const auto head = micro_batch_loss(learner_, micro, inputs, sums_);
  range.emplace("backward");
  head.loss.backward();
  learner_.optimizer.accumulate();
  sums_.add(measures_of(inputs, head));
  tokens_ += micro.targets.numel();
  groups_ += static_cast<int64_t>(micro.groups.size()) - 1;
}

void GradientPass::drop() {
  learner_.optimizer.zero_grad();
  sums_.clear();
  tokens_ = 0;
  groups_ = 0;
}

UpdateStats no_update(const Learner& learner) {
  return {.figures = figures_of(measures_of_nothing(learner.objective))};
}

UpdateStats measured(const Learner& learner, GradientPass& pass, double gradient_scale) {
  UpdateStats stats{.figures = pass.sums().receive(), .tokens = pass.tokens(), .groups = pass.groups()};
  for (Figure& figure : stats.figures) {
    if (figure.fold == algo::Fold::kSum) figure.value *= gradient_scale;
  }
  reduce(stats, learner.communicator);
  to_means(stats);
  return stats;
}

UpdateStats apply_gradient(const Learner& learner, GradientPass& pass, double gradient_scale) {
  pass.sums().send();
  optim::UpdateResult step;
  {
    const TraceRange range("optimizer");
    step = learner.optimizer.step(learner.total_updates, gradient_scale);
  }
  UpdateStats stats = measured(learner, pass, gradient_scale);
  // The norm of a step that was not taken is not finite, and metrics hold finite numbers only.
  stats.grad_norm = step.applied ? step.grad_norm : 0.0;
  stats.lr = step.lr;
  stats.applied = step.applied;
  return stats;
}

}  // namespace grpo::update
