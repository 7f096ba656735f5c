#pragma once

#include <cstdint>
#include <vector>

#include "grpo/update/learner.h"
#include "grpo/update/sequence.h"

namespace grpo::update {

/// What one optimizer update saw and did. Sums are over the targets of all its micro-batches, on all ranks.
struct UpdateStats {
  double loss = 0.0;
  double grad_norm = 0.0;
  double lr = 0.0;
  double entropy = 0.0;        // mean over targets
  double clip_fraction = 0.0;  // share of targets
  double ratio_max = 0.0;
  double kl_sampler =
      0.0;               // k3 between sampler and trainer, mean over targets; 0 where no sampler's log-probs are given
  int64_t tokens = 0;    // targets
  bool applied = false;  // the weights have changed; false: no sequence, or a non-finite gradient
  bool dropped = false;  // should_stop ended it before anything was reduced
};

/// One optimizer update: micro-batches, backward, reduction over ranks, clipping, step. Without a sequence nothing
/// happens: momentum, decay, schedule and Adam's counter stand still. Where memory runs out the update starts over with
/// smaller micro-batches and lowers the budget. The gradient does not depend on how the batch is split. A collective.
UpdateStats update_weights(const Learner& learner, const Watch& watch, const Batch& batch);

/// The gradient of the batch's loss, left in the optimizer's accumulators; no step is taken. Part of update_weights,
/// public for tests.
UpdateStats accumulate_gradient(const Learner& learner, const Watch& watch, const Batch& batch);

/// Sets old_log_probs, by one pass of the model, of those of `sequences` that this rank will train in an update on all
/// of them.
void set_old_log_probs(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences);

/// Means over the updates that were applied, zeros when none was; tokens are summed, ratio_max and kl_sampler the
/// largest.
UpdateStats mean_of_updates(const std::vector<UpdateStats>& updates);

}  // namespace grpo::update
