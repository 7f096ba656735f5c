#pragma once

#include <cstdint>
#include <vector>

#include "grpo/trainer/grpo_step.h"
#include "trainer/update_sums.h"

namespace grpo::trainer {

/// The gradient of one update's loss, micro-batch after micro-batch: it stays in the optimizer's sums, what is measured in sums().
/// Nothing waits for the device.
class GradientPass {
 public:
  /// scale: as token_inputs.
  GradientPass(StepContext& context, double scale);

  /// Forward and backward of some of the batch's rollouts in one micro-batch. last: of this rank in this update, so that its
  /// gradients may be sent to the other ranks beside it.
  void run(const RolloutBatch& batch, const std::vector<size_t>& rollouts, bool last);

  /// Drops all of it, to begin again.
  void drop();

  int64_t tokens() const { return tokens_; }  // trained so far
  UpdateSums& sums() { return sums_; }

 private:
  StepContext& context_;
  const double scale_;
  UpdateSums sums_;
  int64_t tokens_ = 0;
};

/// What the pass measured, over all ranks (a collective), after sums().send(). gradient_scale: of the loss too.
UpdateStats measured(StepContext& context, GradientPass& pass, double gradient_scale);

/// The optimizer step with the accumulated gradient. What the pass measured is on its way meanwhile, so that the host waits for the
/// device once. gradient_scale: of what was accumulated (1: nothing to do). A collective: figures are over all ranks.
UpdateStats apply_gradient(StepContext& context, GradientPass& pass, double gradient_scale);

}  // namespace grpo::trainer
