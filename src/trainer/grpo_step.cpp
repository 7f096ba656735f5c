// One GRPO step (arXiv 2402.03300, 2510.00977): prompts -> rollout -> reward -> advantage -> update.
#include "grpo/trainer/grpo_step.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/metrics/timer.h"
#include "trainer/old_log_probs.h"
#include "trainer/step_stats.h"
#include "trainer/streamed_update.h"

namespace grpo::trainer {
namespace {

// The u-th of U equal mini-batches, in prompt order, before dead groups are dropped.
std::vector<size_t> mini_batch(const RolloutBatch& batch, int64_t u, int64_t num_updates) {
  const int64_t prompts = batch.num_groups() / num_updates;
  const int64_t first = batch.group_offsets[static_cast<size_t>(u * prompts)];
  const int64_t last = batch.group_offsets[static_cast<size_t>((u + 1) * prompts)];
  std::vector<size_t> rollouts(static_cast<size_t>(last - first));
  std::iota(rollouts.begin(), rollouts.end(), static_cast<size_t>(first));
  return rollouts;
}

// Those up to one that is dropped.
std::vector<UpdateStats> make_updates(StepContext& context, const RolloutBatch& batch) {
  const TrainerOptions& options = context.config.trainer;
  std::vector<UpdateStats> updates;
  for (int64_t i = 0; i < options.epochs_per_step * options.updates_per_step; ++i) {
    if (i > 0) context.communicator.enter_phase(base::concat("step ", context.step, ", update"));
    updates.push_back(update_policy(context, batch, mini_batch(batch, i % options.updates_per_step, options.updates_per_step)));
    if (updates.back().dropped) break;
    if (updates.back().applied) context.should_stop = {};  // the weights have changed: from here on the step is finished
  }
  return updates;
}

}  // namespace

StepResult grpo_step(StepContext& context, std::vector<Prompt> prompts, const std::vector<uint64_t>& draws) {
  const TrainerOptions& options = context.config.trainer;
  StepResult result;
  const int64_t sent = context.communicator.bytes_sent();
  std::optional<StreamedUpdate> stream;
  if (options.stream_update) stream.emplace(context, prompts);
  result.batch = sample_and_score(context, std::move(prompts), draws, result.stats, stream ? &*stream : nullptr);
  if (result.batch.rollouts.empty()) {
    result.stopped = true;
    return result;
  }
  result.stats.rollout_bytes = context.communicator.bytes_sent() - sent;
  metrics::Timer timer;
  set_advantages(result.batch, context.config.algorithm.advantage);
  count_groups(result.batch, result.stats);

  context.communicator.enter_phase(base::concat("step ", context.step, ", update"));
  const bool several_updates = options.updates_per_step * options.epochs_per_step > 1;
  for (int64_t u = 0; several_updates && u < options.updates_per_step; ++u) {
    set_old_log_probs(context, result.batch, mini_batch(result.batch, u, options.updates_per_step));
  }
  context.policy.model->release_sampling_weights();  // frees the sampler's copy now: the backward needs the memory
  context.optimizer.release_weights();
  const auto updates = stream ? std::vector{stream->finish(result.batch)} : make_updates(context, result.batch);
  context.optimizer.gather_weights();
  result.stopped = updates.back().dropped;
  if (result.stopped) return result;
  result.stats.update = mean_of_updates(updates);
  result.stats.update_s = timer.seconds();
  result.stats.update_bytes = context.communicator.bytes_sent() - sent - result.stats.rollout_bytes;
  return result;
}

}  // namespace grpo::trainer
