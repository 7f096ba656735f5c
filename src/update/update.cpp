// One update: each rank's share of the sequences, its micro-batches, the reduction over ranks, the optimizer step.
#include "grpo/update/update.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/update/profile.h"
#include "update/balanced_share.h"
#include "update/families.h"
#include "update/gradient_pass.h"
#include "update/micro_batch.h"
#include "update/micro_batch_loss.h"
#include "update/passes.h"
#include "update/update_gate.h"

namespace grpo::update {
namespace {

std::vector<size_t> share_of_rank(const Learner& learner, const std::vector<Sequence>& sequences, int64_t rank) {
  return balanced_share(sequences, learner.model.config(), sharing_of(learner), rank, learner.communicator.size());
}

// The number of micro-batches of the rank that has most. Where ranks split the gradient sums, each micro-batch ends in
// a reduction in which every rank takes part, also one that has no micro-batch left. For that all ranks need the same
// budget, so a pass of such an optimizer that runs out of memory ends the run (Optimizer::can_drop_alone).
size_t most_micro_batches(const Learner& learner, const std::vector<Sequence>& sequences) {
  size_t most = 0;
  for (int64_t rank = 0; rank < learner.communicator.size(); ++rank) {
    const auto share = share_of_rank(learner, sequences, rank);
    most = std::max(most, split_micro_batches(sequences, share, learner.model.config(), sharing_of(learner),
                                              learner.budget.tokens())
                              .size());
  }
  return most;
}

// Runs this rank's micro-batches. Afterwards its part of the gradient is in the optimizer and on its way to the other
// ranks. Returns nullopt when the ranks drop the update; the sums then hold a part of a gradient.
std::optional<GradientPass> run_gradient(const Learner& learner, const Watch& watch, const Batch& batch) {
  GradientPass gradient(learner, watch, batch.scale);
  Progress progress;
  UpdateGate gate(learner, watch);
  bool dropped = false;
  const auto pass = [&](const std::vector<size_t>& part, size_t number, size_t count) {
    const bool last = number + 1 == count;
    dropped = dropped || (learner.optimizer.sends_in_pass(last) ? gate.closes() : gate.skips());
    if (dropped) return true;
    if (!gradient.run(batch.sequences, part, last)) return false;
    progress = {
        .done = static_cast<int64_t>(number + 1), .total = static_cast<int64_t>(count), .tokens = gradient.tokens()};
    if (watch.on_progress) watch.on_progress(progress);
    return true;
  };
  for_each_micro_batch(learner, batch.sequences, share_of_rank(learner, batch.sequences, learner.communicator.rank()),
                       pass);
  if (gate.closes()) return std::nullopt;
  for (auto i = static_cast<size_t>(progress.done); i < most_micro_batches(learner, batch.sequences); ++i)
    learner.optimizer.idle_pass();
  learner.communicator.enter_phase(watch.name + ", reduction");
  learner.optimizer.start_reduction();
  return gradient;
}

// What becomes of the numbers of set_numbers() when the step is to stop.
enum class WhenStopped {
  kComplete,  // other numbers of the step are made of them
  kLeaveOut,  // only an update needs them, and that is dropped
};

// Sets a member that has a number for each target, by passes without gradient over this rank's share of the sequences.
// numbers: computes these numbers, [n] fp32, for a micro-batch. Between the passes should_stop is asked in either case,
// since that also tells a watchdog that there is progress.
void set_numbers(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences,
                 std::vector<float> Sequence::*member, WhenStopped when_stopped,
                 const std::function<at::Tensor(const MicroBatch&)>& numbers) {
  const auto pass = [&](const std::vector<size_t>& part, size_t, size_t) {
    const bool stops = watch.should_stop && watch.should_stop();
    if (stops && when_stopped == WhenStopped::kLeaveOut) return true;
    return fits_memory(learner, watch, sequences, part, [&] {
      const at::NoGradGuard no_grad;
      const auto micro = pack_micro_batch(sequences, part, learner.model.device(), sharing_of(learner));
      const auto on_host = numbers(micro).cpu().contiguous();
      const float* values = on_host.const_data_ptr<float>();
      for (size_t i = 0; i < part.size(); ++i)
        (sequences[part[i]].*member).assign(values + micro.offsets[i], values + micro.offsets[i + 1]);
    });
  };
  for_each_micro_batch(learner, sequences, share_of_rank(learner, sequences, learner.communicator.rank()), pass);
}

bool is_mean_of_updates(algo::Fold fold) {
  return fold == algo::Fold::kSum || fold == algo::Fold::kMean || fold == algo::Fold::kGroupMean;
}

// Adds one more update to a figure of the step. An update that was not applied counts only where the largest value is
// taken, because that value may tell why it was not applied. Such an update may well have a NaN, which is left out: it
// is known that its gradient was not finite. The NaN of an applied update is kept, where std::max would hide it.
void fold(Figure& figure, const Figure& update, bool applied) {
  if (!is_mean_of_updates(figure.fold)) {
    const bool unknown = std::isnan(figure.value) || (applied && std::isnan(update.value));
    figure.value = unknown ? std::numeric_limits<double>::quiet_NaN() : std::max(figure.value, update.value);
  } else if (applied) {
    figure.value += update.value;
  }
}

}  // namespace

void set_old_log_probs(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences) {
  const TraceRange range("old log-probs");
  set_numbers(learner, watch, sequences, &Sequence::old_log_probs, WhenStopped::kLeaveOut,
              [&](const MicroBatch& micro) { return target_log_probs(learner.model, micro, learner.objective); });
}

void set_reference_log_probs(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences) {
  const TraceRange range("reference");
  GRPO_CHECK(learner.reference != nullptr, "a learner without a reference");
  set_numbers(learner, watch, sequences, &Sequence::reference_log_probs, WhenStopped::kComplete,
              [&](const MicroBatch& micro) {
                return target_log_probs(*learner.reference, micro, learner.objective.of_reference());
              });
}

void set_values(const Learner& learner, const Watch& watch, std::vector<Sequence>& sequences) {
  const TraceRange range("values");
  set_numbers(learner, watch, sequences, &Sequence::old_values, WhenStopped::kComplete,
              [&](const MicroBatch& micro) { return target_values(learner.model, micro); });
}

UpdateStats accumulate_gradient(const Learner& learner, const Watch& watch, const Batch& batch) {
  auto gradient = run_gradient(learner, watch, batch);
  if (!gradient) return {.dropped = true};
  gradient->sums().send();
  return measured(learner, *gradient, 1.0);
}

UpdateStats update_weights(const Learner& learner, const Watch& watch, const Batch& batch) {
  if (batch.sequences.empty()) return no_update(learner);  // all ranks have the same batch and return here together
  auto gradient = run_gradient(learner, watch, batch);
  if (!gradient) return {.dropped = true};
  return apply_gradient(learner, *gradient, 1.0);
}

bool UpdateStats::has_figure(std::string_view name) const {
  return std::any_of(figures.begin(), figures.end(), [&](const Figure& f) { return f.name == name; });
}

double UpdateStats::figure(std::string_view name) const {
  const auto found = std::find_if(figures.begin(), figures.end(), [&](const Figure& f) { return f.name == name; });
  GRPO_CHECK(found != figures.end(), "no figure ", name);
  return found->value;
}

UpdateStats mean_of_updates(const std::vector<UpdateStats>& updates) {
  UpdateStats mean;
  mean.figures = updates.front().figures;
  for (Figure& figure : mean.figures) figure.value = 0.0;
  double count = 0.0;
  for (const UpdateStats& update : updates) {
    mean.tokens += update.tokens;
    mean.groups += update.groups;
    for (size_t i = 0; i < mean.figures.size(); ++i) fold(mean.figures[i], update.figures[i], update.applied);
    if (!update.applied) continue;
    count += 1.0;
    mean.applied = true;
    mean.grad_norm += update.grad_norm;
    mean.lr = update.lr;
  }
  if (count == 0.0) return mean;
  mean.grad_norm /= count;
  for (Figure& figure : mean.figures) {
    if (is_mean_of_updates(figure.fold)) figure.value /= count;
  }
  return mean;
}

}  // namespace grpo::update
