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
  /// What the objective measures: loss, entropy, kl/sampler (k3 between sampler and trainer; 0 where no sampler's
  /// log-probs are given) and the measures of its terms, such as clip_fraction and ratio/max. Every update of a run has
  /// the same names, except that one that was dropped has none.
  std::vector<Figure> figures = {};
  double grad_norm = 0.0;  // over all ranks, before clipping; 0 if the update was not applied
  double lr = 0.0;
  int64_t tokens = 0;  // targets
  int64_t groups = 0;  // groups of sequences (Sequence::group); a sequence that stands alone is one
  bool applied =
      false;  // whether the weights have changed; not without a sequence or with a gradient that is not finite
  bool dropped = false;  // whether should_stop ended it, on any rank, before the ranks' gradients were added up

  /// REQUIRES: there is a figure of that name.
  double figure(std::string_view name) const;
  bool has_figure(std::string_view name) const;
};

/// One optimizer update: micro-batches, backward, reduction over ranks, clipping, step. Without a sequence nothing
/// happens: momentum, decay, schedule and Adam's counter stand still. When memory runs out the budget is lowered and
/// the update starts over with smaller micro-batches (TokenBudget::shrink says when it cannot). Up to rounding, the
/// gradient does not depend on how the batch is split. A collective.
UpdateStats update_weights(const Learner& learner, const Watch& watch, const Batch& batch);

/// Leaves the gradient of the batch's loss in the optimizer's sums and takes no step, for callers that only want to
/// look at the gradient (trainer/gradient_probe.h). A collective.
UpdateStats accumulate_gradient(const Learner& learner, const Watch& watch, const Batch& batch);

/// Sets old_log_probs by one pass of the model without gradient. Each rank does it for its share of `sequences`, the
/// one that it trains in an update on all of them; those of the other sequences stay as they are. From the moment when
/// watch.should_stop says so none are set any more. REQUIRES: it then goes on saying so, which drops the update.
void set_old_log_probs(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences);

/// Sets reference_log_probs in the same way, but for all of the share, by a pass of the reference. REQUIRES: the
/// learner has one.
void set_reference_log_probs(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences);

/// Sets old_values, for all of the share too, by a pass of the learner's model, which is a critic. The value of a
/// target is the critic's before that target is drawn.
void set_values(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences);

/// Summarises the updates of a step: tokens and groups are added up, and each figure is folded as its Fold says. Means,
/// also that of grad_norm, are over the updates that were applied, and 0 if none was; lr is that of the last one.
/// REQUIRES: at least one update, and none that was dropped.
UpdateStats mean_of_updates(const std::vector<UpdateStats>& updates);

}  // namespace grpo::update
