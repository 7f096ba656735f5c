#include <algorithm>
#include <deque>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/trainer/grpo_step.h"
#include "trainer/gather_json.h"
#include "trainer/group_json.h"
#include "trainer/sampling.h"
#include "trainer/step_stats.h"

namespace grpo::trainer {
namespace {

using Groups = std::deque<std::vector<Rollout>>;  // by draw; those of other ranks are empty before gather()

// Whether any rank has stopped. The ranks meet in the store and not in a collective, because nobody knows how long the
// others will sample. While this rank waits it goes on asking should_stop, since a signal may reach it alone.
bool stopped_anywhere(bool stopped, const StepContext& context) {
  const auto ask = [&] {
    if (context.should_stop) context.should_stop();
  };
  return context.learner.communicator.meet("the other ranks' rollouts", stopped ? 1 : 0, ask) > 0;
}

// Brings every group to every rank, so that each computes the same advantages, denominators and metrics. Counts are
// added up, and of times the slowest rank's are taken.
void gather(Groups& groups, StepStats& stats, dist::Communicator& communicator) {
  nlohmann::json mine{{"tokens_prompt", stats.tokens_prompt},
                      {"rollout_s", stats.rollout_s},
                      {"reward_s", stats.reward_s},
                      {"preempted", stats.preempted},
                      {"update_hidden_s", stats.update_hidden_s.value_or(0.0)},
                      {"groups", nlohmann::json::array()}};
  for (size_t q = 0; q < groups.size(); ++q) {
    if (!groups[q].empty()) mine["groups"].push_back({q, to_json(groups[q])});
  }
  stats.tokens_prompt = 0;
  stats.preempted = 0;
  stats.fewest_prompts = std::numeric_limits<int64_t>::max();
  for (const auto& theirs : all_gather_json(mine, communicator)) {
    stats.tokens_prompt += theirs.at("tokens_prompt").get<int64_t>();
    stats.preempted += theirs.at("preempted").get<int64_t>();
    stats.rollout_s = std::max(stats.rollout_s, theirs.at("rollout_s").get<double>());
    stats.reward_s = std::max(stats.reward_s, theirs.at("reward_s").get<double>());
    if (stats.update_hidden_s)
      stats.update_hidden_s = std::max(*stats.update_hidden_s, theirs.at("update_hidden_s").get<double>());
    for (const auto& entry : theirs.at("groups")) {
      const auto q = entry.at(0).get<size_t>();
      if (groups.size() <= q) groups.resize(q + 1);
      groups[q] = group_from(entry.at(1), q);
    }
    const auto prompts = static_cast<int64_t>(theirs.at("groups").size());
    stats.fewest_prompts = std::min(stats.fewest_prompts, prompts);
    stats.most_prompts = std::max(stats.most_prompts, prompts);
  }
}

// Makes the batch of a step from its groups. The draws that were asked are the first ones, without gaps.
RolloutBatch joined(Draws& draws, Groups groups) {
  RolloutBatch batch;
  batch.group_offsets.push_back(0);
  for (size_t q = 0; q < groups.size(); ++q) {
    batch.prompts.push_back(draws.at(q)->prompt);
    std::move(groups[q].begin(), groups[q].end(), std::back_inserter(batch.rollouts));
    batch.group_offsets.push_back(static_cast<int64_t>(batch.rollouts.size()));
  }
  return batch;
}

}  // namespace

RolloutBatch sample_and_score(const StepContext& context, Draws& draws, StepStats& stats,
                              update::StreamedUpdate* stream) {
  dist::Communicator& communicator = context.learner.communicator;
  communicator.enter_phase(base::concat("step ", context.step, ", rollout"));
  Sampling sampling(context, draws, stream);
  bool stopped = !sampling.run();
  if (stopped) context.reward.cancel();  // the run ends, and ~Sampling waits for what is being scored
  sampling.write(stats);
  if (stream != nullptr) {
    stats.update_hidden_s = stream->busy_seconds();
    if (stopped) stream->rethrow();
  }
  communicator.enter_phase(base::concat("step ", context.step, ", exchange"));
  if (communicator.size() > 1 && !sampling.stopped_together()) stopped = stopped_anywhere(stopped, context);
  if (stopped) return {};
  if (communicator.size() > 1) gather(sampling.groups(), stats, communicator);
  auto batch = joined(draws, std::move(sampling.groups()));
  count_rollouts(batch, stats);
  return batch;
}

}  // namespace grpo::trainer
