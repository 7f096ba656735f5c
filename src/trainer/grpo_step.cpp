// One GRPO step (arXiv 2402.03300, 2510.00977): prompts -> rollout -> reward -> advantage -> update. A step of PPO
// differs in two things (token_advantages.h): a critic gives each token its advantage, and the critic learns too.
#include "grpo/trainer/grpo_step.h"

#include <optional>
#include <span>

#include "grpo/base/error.h"
#include "grpo/metrics/timer.h"
#include "trainer/group_sizes.h"
#include "trainer/kl_penalty.h"
#include "trainer/live_rollouts.h"
#include "trainer/sequences.h"
#include "trainer/step_stats.h"
#include "trainer/token_advantages.h"
#include "trainer/update_watch.h"

namespace grpo::trainer {
namespace {

// The advantages of groups that were replaced become 0, as nothing is learned from them. With a KL in the rewards they
// would have some.
void leave_out_others(RolloutBatch& batch, const std::vector<size_t>& groups) {
  std::vector<bool> learned(batch.prompts.size());
  for (const size_t q : groups) learned[q] = true;
  for (Rollout& rollout : batch.rollouts) {
    if (!learned[rollout.prompt]) rollout.advantage = 0.0;
  }
}

// The rollouts of each of the step's mini-batches. Groups are divided in their order, before dead ones are dropped, and
// each is in exactly one mini-batch.
std::vector<std::vector<size_t>> parts_of(const StepContext& context, const RolloutBatch& batch,
                                          const std::vector<size_t>& groups) {
  const auto count = static_cast<size_t>(context.config.trainer.updates_per_step);
  GRPO_CHECK(count <= groups.size(), groups.size(), " groups for ", count, " updates");
  std::vector<std::vector<size_t>> parts;
  for (size_t u = 0; u < count; ++u) {
    const size_t first = u * groups.size() / count, last = (u + 1) * groups.size() / count;
    parts.push_back(rollouts_of(batch, std::span(groups).subspan(first, last - first)));
  }
  return parts;
}

// What each of the step's updates learns from. When there are several, their ratios need the log-probs of the policy as
// it is before the first one.
std::vector<update::Batch> mini_batches(const StepContext& context, const RolloutBatch& batch,
                                        const std::vector<size_t>& groups) {
  const TrainConfig& config = context.config;
  std::vector<update::Batch> batches;
  for (const auto& part : parts_of(context, batch, groups)) batches.push_back(batch_of(config, batch, part));
  // Where sequences are compared there is no ratio to an old policy.
  if (config.trainer.updates_per_step * config.trainer.epochs_per_step == 1 || compares_groups(config.algorithm))
    return batches;
  for (auto& [sequences, scale] : batches) {
    if (config.algorithm.old_logprobs == OldLogProbs::kTrainer) {
      update::set_old_log_probs(context.learner, watch_of(context), sequences);
    } else {
      for (auto& sequence : sequences) sequence.old_log_probs = sequence.sampler_log_probs;
    }
  }
  return batches;
}

// Makes the updates one after the other, in each epoch one for each mini-batch. An update that was dropped is the last.
std::vector<UpdateStats> make_updates(const StepContext& context, const std::vector<update::Batch>& batches) {
  auto watch = watch_of(context);
  std::vector<UpdateStats> updates;
  for (size_t i = 0; i < batches.size() * static_cast<size_t>(context.config.trainer.epochs_per_step); ++i) {
    if (i > 0) context.learner.communicator.enter_phase(watch.name + ", update");
    updates.push_back(update::update_weights(context.learner, watch, batches[i % batches.size()]));
    if (updates.back().dropped) break;
    // Once the weights have changed the step is finished, whoever asks it to stop.
    if (updates.back().applied) watch.should_stop = {};
  }
  return updates;
}

// The scale of the loss over all rollouts of the step; nullopt when none of them has a gradient.
std::optional<double> scale_of_step(const TrainConfig& config, const RolloutBatch& batch,
                                    const std::vector<size_t>& groups) {
  const auto all = rollouts_of(batch, groups);
  if (live_rollouts(config, batch, all).empty()) return std::nullopt;
  return loss_scale(config, batch, all);
}

bool subtracts_kl(const AlgorithmConfig& config) { return config.kl.coef > 0.0 && config.kl.in == KlIn::kReward; }

void set_advantages_of_step(const StepContext& context, RolloutBatch& batch, StepStats& stats) {
  const TrainConfig& config = context.config;
  if (context.critic != nullptr) return set_token_advantages(context, batch, stats);
  if (subtracts_kl(config.algorithm)) stats.kl_reference = set_kl_penalties(context, batch);
  if (largest_size(config.rollout) > 1) return set_advantages(batch, config.algorithm.advantage, config.rollout);
  GRPO_CHECK(context.values != nullptr, "groups of one without values of their prompts");
  set_advantages_of_singles(batch, config.algorithm.advantage, *context.values);
}

}  // namespace

update::Watch watch_of(const StepContext& context) {
  return update_watch(context.step, context.should_stop, context.on_progress);
}

StepResult grpo_step(const StepContext& context, Draws& draws) {
  optim::Optimizer& optimizer = context.learner.optimizer;
  dist::Communicator& communicator = context.learner.communicator;
  StepResult result;
  const int64_t sent = communicator.bytes_sent();
  std::optional<update::StreamedUpdate> stream;
  if (context.config.trainer.stream_update) stream.emplace(context.learner, watch_of(context));
  result.batch = sample_and_score(context, draws, result.stats, stream ? &*stream : nullptr);
  if (result.batch.rollouts.empty()) {
    result.stopped = true;
    return result;
  }
  result.stats.rollout_bytes = communicator.bytes_sent() - sent;
  metrics::Timer timer;
  set_advantages_of_step(context, result.batch, result.stats);
  const auto groups =
      learned_groups(context.config, result.batch, result.batch.num_groups() - context.config.rollout.prompts_per_step);
  leave_out_others(result.batch, groups);
  count_groups(context.config.rollout, result.batch, result.stats);

  communicator.enter_phase(base::concat("step ", context.step, ", update"));
  const auto batches = stream ? std::vector<update::Batch>() : mini_batches(context, result.batch, groups);
  context.policy.model->release_sampling_weights();  // the backward needs the memory of the sampler's copy
  optimizer.release_weights();
  const auto updates = stream ? std::vector{stream->finish(scale_of_step(context.config, result.batch, groups))}
                              : make_updates(context, batches);
  optimizer.gather_weights();
  result.stopped = updates.back().dropped;
  if (result.stopped) return result;
  if (context.critic != nullptr)
    result.stats.critic->update = update_critic(context, result.batch, parts_of(context, result.batch, groups));
  result.stats.update = update::mean_of_updates(updates);
  result.stats.update_s = timer.seconds();
  result.stats.update_bytes = communicator.bytes_sent() - sent - result.stats.rollout_bytes;
  return result;
}

}  // namespace grpo::trainer
