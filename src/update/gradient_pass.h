#pragma once

#include <cstdint>
#include <vector>

#include "grpo/update/update.h"
#include "update/update_sums.h"

namespace grpo::update {

/// Accumulates the gradient of one update's loss on this rank, micro-batch after micro-batch. The gradient goes into
/// the optimizer's sums, and what is measured beside it into sums(). The host never waits for the device here.
class GradientPass {
 public:
  /// scale: as in token_inputs(). learner and watch must outlive the pass.
  GradientPass(const Learner& learner, const Watch& watch, double scale);

  /// Runs forward and backward of the sequences with these indices in one micro-batch. `last` says that no further
  /// micro-batch of this rank follows in this update, so that gradients may be sent to the other ranks while the
  /// backward goes on. Returns false when memory ran out: the budget is then smaller, the gradient of all micro-batches
  /// so far is dropped, and the caller begins again with the first sequence.
  bool run(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices, bool last);

  /// Drops what has been accumulated, so that the update can begin again.
  void drop();

  int64_t tokens() const { return tokens_; }  // targets that were trained so far
  int64_t groups() const { return groups_; }  // groups of sequences that were trained so far
  UpdateSums& sums() { return sums_; }

 private:
  void forward_and_backward(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices, bool last);

  const Learner& learner_;
  const Watch& watch_;
  const double scale_;
  UpdateSums sums_;
  int64_t tokens_ = 0;
  int64_t groups_ = 0;
};

/// The statistics of an update that has no sequence to train.
UpdateStats no_update(const Learner& learner);

/// What the pass measured, over all ranks. gradient_scale multiplies the gradient, and therefore also the loss that is
/// reported. REQUIRES: sums().send() has been called. A collective.
UpdateStats measured(const Learner& learner, GradientPass& pass, double gradient_scale);

/// Takes the optimizer step with the accumulated gradient multiplied by gradient_scale, and returns figures over all
/// ranks. What the pass measured is brought to the host during the step, so that the host waits for the device only
/// once. A collective.
UpdateStats apply_gradient(const Learner& learner, GradientPass& pass, double gradient_scale);

}  // namespace grpo::update
