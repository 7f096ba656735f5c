#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/metrics/timer.h"
#include "grpo/trainer/grpo_step.h"
#include "grpo/update/profile.h"
#include "trainer/gather_json.h"
#include "trainer/group_json.h"
#include "trainer/memory_plan.h"
#include "trainer/reward_item.h"
#include "trainer/scorer.h"
#include "trainer/sequences.h"
#include "trainer/share_prompts.h"
#include "trainer/step_stats.h"

namespace grpo::trainer {
namespace {

rollout::GenerationOptions generation_options(const StepContext& context) {
  const RolloutConfig& config = context.config.rollout;
  return {.sampling = config.sampling, .max_new_tokens = config.max_new_tokens, .stop_ids = context.policy.stop_ids};
}

// The requests for the prompts [first, last) of the share.
std::vector<rollout::Request> make_requests(const std::vector<Prompt>& prompts, const std::vector<uint64_t>& draws,
                                            std::pair<size_t, size_t> share, int64_t group_size) {
  std::vector<rollout::Request> requests;
  for (size_t q = share.first; q < share.second; ++q) {
    requests.push_back({.prompt_ids = prompts[q].ids, .draw = draws[q], .first_sample = 0, .num_samples = group_size});
  }
  return requests;
}

void score_group(const StepContext& context, const Prompt& prompt, std::vector<Rollout>& group) {
  const auto golds = prompt.golds();
  std::vector<std::string> turns;
  for (Rollout& rollout : group) {
    rollout.text = context.policy.tokenizer->decode(rollout.completion.ids, /*skip_special=*/true);
    turns.push_back(prompt.begun + rollout.text);
  }
  std::vector<reward::Item> items;
  for (size_t i = 0; i < group.size(); ++i)
    items.push_back(item_of(prompt, golds, group[i].completion, turns[i], group[i].sample));
  auto scores = context.reward.score(items);
  for (size_t i = 0; i < group.size(); ++i) {
    group[i].score = std::move(scores[i]);
    if (!std::isfinite(group[i].score.reward))
      throw base::Error("reward: prompt " + prompt.id + " got a reward that is not finite; check reward.terms");
  }
}

int64_t equal_share(size_t prompts, const dist::Communicator& communicator) {
  const auto [first, last] = share_of(prompts, communicator);
  return static_cast<int64_t>(last - first);
}

using Groups = std::vector<std::vector<Rollout>>;

struct Sampled {
  Groups groups;  // by prompt; those of other ranks are empty until gathered
  bool stopped = false;
};

Sampled sample_share(const StepContext& context, const std::vector<Prompt>& prompts, const std::vector<uint64_t>& draws,
                     std::pair<size_t, size_t> share, StepStats& stats, update::StreamedUpdate* stream) {
  metrics::Timer rollout_timer;
  Sampled sampled{.groups = Groups(prompts.size()), .stopped = false};
  // One thread scores while this one samples: verifying takes microseconds, and the sampler's threads own the cores.
  // More only wait for graders, which are programs of their own.
  Scorer scorer(context.reward.concurrency());
  StepProgress progress{
      .phase = StepProgress::Phase::kRollout,
      .total = equal_share(prompts.size(), context.learner.communicator) * context.config.rollout.group_size};
  if (context.on_progress) context.on_progress(progress);
  const auto on_group = [&](const rollout::Group& group) {
    const size_t q = share.first + group.request;
    auto& rollouts = sampled.groups[q];
    for (size_t i = 0; i < group.completions.size(); ++i) {
      rollouts.push_back({.prompt = q,
                          .sample = static_cast<int64_t>(i),
                          .completion = group.completions[i],
                          .text = {},
                          .score = {},
                          .advantage = 0.0});
    }
    progress.done += static_cast<int64_t>(group.completions.size());
    progress.total = std::max(progress.total, progress.done);  // the rank may take more than its share of the prompts
    for (const auto& completion : group.completions) progress.tokens += static_cast<int64_t>(completion.ids.size());
    if (context.on_progress) context.on_progress(progress);
    const auto place = stream != nullptr ? stream->announce() : 0;
    scorer.submit([&context, &prompt = prompts[q], &rollouts, stream, place] {
      score_group(context, prompt, rollouts);
      if (stream != nullptr) stream->take(place, sequences_of_group(context.config, prompt, rollouts));
    });
  };
  const base::RandomKey key{static_cast<uint64_t>(context.config.run.seed), base::stream_id("train")};
  const auto requests = make_requests(prompts, draws, share, context.config.rollout.group_size);
  // It is asked between decode steps, so the progress that is shown moves while long completions decode.
  const auto should_stop = [&] {
    if (context.on_progress) context.on_progress(progress);
    if (scorer.failed() || (stream != nullptr && stream->failed())) return true;
    return context.should_stop && context.should_stop();
  };
  std::optional<update::TraceRange> range(std::in_place, "rollout");
  std::optional<rollout::RequestQueue> queue;
  if (shares_prompts(context.config, context.learner.communicator.size())) {
    const int64_t together = decoded_together(context.config.rollout, context.policy.model->device().is_cuda());
    queue = prompt_queue(context.learner.communicator, context.config, together, context.step, prompts.size());
  }
  const auto done = context.engine.generate(requests, generation_options(context), key, on_group, should_stop,
                                            queue ? &*queue : nullptr);
  sampled.stopped = done.size() != requests.size();
  stats.tokens_prompt = context.engine.stats().prompt_tokens;
  stats.preempted = context.engine.stats().preempted;
  stats.rollout_s = rollout_timer.seconds();
  metrics::Timer reward_timer;
  range.emplace("reward");
  context.learner.communicator.enter_phase(base::concat("step ", context.step, ", reward"));
  // Graders may take long: each group that is judged is progress, as one that is sampled.
  scorer.wait([&] {
    if (context.on_progress) context.on_progress(progress);
  });
  stats.reward_s = reward_timer.seconds();
  if (stream != nullptr) {
    stats.update_hidden_s = stream->busy_seconds();
    if (sampled.stopped) stream->rethrow();
  }
  return sampled;
}

// Brings every group to every rank, so that each can compute the same advantages, denominators and metrics. A stop on
// one rank stops all; times are those of the slowest rank.
void gather(Sampled& sampled, StepStats& stats, const StepContext& context) {
  dist::Communicator& communicator = context.learner.communicator;
  if (communicator.size() == 1) return;
  // Nobody knows how long the others sample, so the ranks meet in the store and not in a collective. A signal may reach
  // this rank alone, also while it waits.
  const auto ask = [&] {
    if (context.should_stop) context.should_stop();
  };
  sampled.stopped = communicator.meet("the other ranks' rollouts", sampled.stopped ? 1 : 0, ask) > 0;
  if (sampled.stopped) return;
  nlohmann::json mine{{"tokens_prompt", stats.tokens_prompt},
                      {"rollout_s", stats.rollout_s},
                      {"reward_s", stats.reward_s},
                      {"preempted", stats.preempted},
                      {"update_hidden_s", stats.update_hidden_s.value_or(0.0)},
                      {"groups", nlohmann::json::array()}};
  for (size_t q = 0; q < sampled.groups.size(); ++q) {
    if (!sampled.groups[q].empty()) mine["groups"].push_back({q, to_json(sampled.groups[q])});
  }
  stats.tokens_prompt = 0;
  stats.preempted = 0;
  stats.fewest_prompts = static_cast<int64_t>(sampled.groups.size());
  for (const auto& theirs : all_gather_json(mine, communicator)) {
    stats.tokens_prompt += theirs.at("tokens_prompt").get<int64_t>();
    stats.preempted += theirs.at("preempted").get<int64_t>();
    stats.rollout_s = std::max(stats.rollout_s, theirs.at("rollout_s").get<double>());
    stats.reward_s = std::max(stats.reward_s, theirs.at("reward_s").get<double>());
    if (stats.update_hidden_s)
      stats.update_hidden_s = std::max(*stats.update_hidden_s, theirs.at("update_hidden_s").get<double>());
    for (const auto& entry : theirs.at("groups")) {
      const auto q = entry.at(0).get<size_t>();
      sampled.groups[q] = group_from(entry.at(1), q);
    }
    const auto prompts = static_cast<int64_t>(theirs.at("groups").size());
    stats.fewest_prompts = std::min(stats.fewest_prompts, prompts);
    stats.most_prompts = std::max(stats.most_prompts, prompts);
  }
}

}  // namespace

RolloutBatch sample_and_score(const StepContext& context, std::vector<Prompt> prompts,
                              const std::vector<uint64_t>& draws, StepStats& stats, update::StreamedUpdate* stream) {
  GRPO_CHECK(prompts.size() == draws.size(), prompts.size(), " prompts, ", draws.size(), " draws");
  context.learner.communicator.enter_phase(base::concat("step ", context.step, ", rollout"));
  const bool shares = shares_prompts(context.config, context.learner.communicator.size());
  const auto share =
      shares ? std::pair(size_t{0}, prompts.size()) : share_of(prompts.size(), context.learner.communicator);
  Sampled sampled = sample_share(context, prompts, draws, share, stats, stream);
  context.learner.communicator.enter_phase(base::concat("step ", context.step, ", exchange"));
  gather(sampled, stats, context);
  RolloutBatch batch;
  if (sampled.stopped) return batch;
  batch.prompts = std::move(prompts);
  batch.group_offsets.push_back(0);
  for (auto& group : sampled.groups) {
    std::move(group.begin(), group.end(), std::back_inserter(batch.rollouts));
    batch.group_offsets.push_back(static_cast<int64_t>(batch.rollouts.size()));
  }
  count_rollouts(batch, stats);
  return batch;
}

}  // namespace grpo::trainer
