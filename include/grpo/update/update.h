#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/algo/measure.h"
#include "grpo/update/learner.h"
#include "grpo/update/sequence.h"

namespace grpo::update {

/// The value of one measure over a whole update or step.
struct Figure {
  std::string name;  // in metrics.jsonl
  algo::Fold fold = algo::Fold::kMean;
  double value = 0.0;
};

/// What one optimizer update measured and did, over the targets of all its micro-batches on all ranks.
struct UpdateStats {
  /// What the objective measures: loss, entropy, clip_fraction, ratio/max, kl/sampler (k3 between sampler and trainer;
  /// 0 where no sampler's log-probs are given) and what its terms add. Every update of a run has the same names.
  std::vector<Figure> figures = {};
  double grad_norm = 0.0;
  double lr = 0.0;
  int64_t tokens = 0;    // targets
  int64_t groups = 0;    // of sequences that are trained in one pass; one that is alone is a group
  bool applied = false;  // the weights have changed; false: no sequence, or a non-finite gradient
  bool dropped = false;  // should_stop ended it before anything was reduced

  /// REQUIRES: there is a figure of that name.
  double figure(std::string_view name) const;
  bool has_figure(std::string_view name) const;
};

/// One optimizer update: micro-batches, backward, reduction over ranks, clipping, step. Without a sequence nothing
/// happens: momentum, decay, schedule and Adam's counter stand still. Where memory runs out the update starts over with
/// smaller micro-batches and lowers the budget. The gradient does not depend on how the batch is split. A collective.
UpdateStats update_weights(const Learner& learner, const Watch& watch, const Batch& batch);

/// Leaves the gradient of the batch's loss in the optimizer's accumulators and takes no step: for those who only want
/// to look at it (trainer/replay.h).
UpdateStats accumulate_gradient(const Learner& learner, const Watch& watch, const Batch& batch);

/// Sets old_log_probs by one pass of the model, for those of `sequences` that this rank will train in an update on all
/// of them.
void set_old_log_probs(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences);

/// Sets reference_log_probs in the same way, by a pass of the reference. REQUIRES: the learner has one.
void set_reference_log_probs(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences);

/// Sets old_values in the same way, by a pass of the learner's model, which is a critic: the value before each target
/// is drawn.
void set_values(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences);

/// Summarises the updates of a step: tokens are added up, and each figure is folded as it says itself. Means are over
/// the updates that were applied, and zero when none was. REQUIRES: at least one update.
UpdateStats mean_of_updates(const std::vector<UpdateStats>& updates);

}  // namespace grpo::update
