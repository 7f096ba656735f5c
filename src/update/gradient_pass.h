#pragma once

#include <cstdint>
#include <vector>

#include "grpo/update/update.h"
#include "update/update_sums.h"

namespace grpo::update {

/// The gradient of one update's loss, micro-batch after micro-batch: it stays in the optimizer's sums, what is measured
/// in sums(). Nothing waits for the device.
class GradientPass {
 public:
  /// scale: as token_inputs. learner and watch outlive it.
  GradientPass(const Learner& learner, const Watch& watch, double scale);

  /// Forward and backward of the sequences with these indices in one micro-batch. last: of this rank in this update, so
  /// that its gradients may be sent to the other ranks beside it. False when memory ran out: the budget is smaller
  /// then, all gradients of this update are dropped, and it begins again with its first sequence.
  bool run(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices, bool last);

  /// Drops all of it, to begin again.
  void drop();

  int64_t tokens() const { return tokens_; }  // targets so far
  UpdateSums& sums() { return sums_; }

 private:
  void forward_and_backward(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices, bool last);

  const Learner& learner_;
  const Watch& watch_;
  const double scale_;
  UpdateSums sums_;
  int64_t tokens_ = 0;
};

/// Of an update that has no sequence to train.
UpdateStats no_update(const Learner& learner);

/// What the pass measured, over all ranks (a collective), after sums().send(). gradient_scale: of the loss too.
UpdateStats measured(const Learner& learner, GradientPass& pass, double gradient_scale);

/// The optimizer step with the accumulated gradient. What the pass measured is on its way meanwhile, so that the host
/// waits for the device once. gradient_scale: of what was accumulated (1: nothing to do). A collective: figures are
/// over all ranks.
UpdateStats apply_gradient(const Learner& learner, GradientPass& pass, double gradient_scale);

}  // namespace grpo::update
