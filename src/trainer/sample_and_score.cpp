#include <algorithm>
#include <cmath>

#include "grpo/base/error.h"
#include "grpo/metrics/timer.h"
#include "grpo/trainer/grpo_step.h"
#include "trainer/scorer.h"
#include "trainer/step_stats.h"

namespace grpo::trainer {
namespace {

rollout::SamplingConfig sampling_of(const StepContext& context) {
  const RolloutOptions& options = context.config.rollout;
  return {.temperature = options.temperature,
          .top_p = options.top_p,
          .top_k = options.top_k,
          .max_new_tokens = options.max_new_tokens,
          .stop_ids = context.policy.stop_ids,
          .ignore_eos = false};
}

std::vector<rollout::Request> make_requests(const std::vector<Prompt>& prompts, const std::vector<uint64_t>& draws,
                                            int64_t group_size) {
  std::vector<rollout::Request> requests;
  for (size_t q = 0; q < prompts.size(); ++q) {
    requests.push_back({.prompt_ids = prompts[q].ids, .draw = draws[q], .first_sample = 0, .num_samples = group_size});
  }
  return requests;
}

void score_group(const StepContext& context, const Prompt& prompt, std::vector<Rollout>& group) {
  for (Rollout& rollout : group) {
    rollout.text = context.policy.tokenizer->decode(rollout.completion.ids, /*skip_special=*/true);
    rollout.score = context.reward.score({.gold = prompt.gold,
                                          .text = rollout.text,
                                          .truncated = rollout.truncated(),
                                          .num_tokens = static_cast<int64_t>(rollout.completion.ids.size())});
    if (!std::isfinite(rollout.score.reward)) {
      throw base::Error("reward: prompt " + prompt.id + " got a reward that is not finite; check reward.terms");
    }
  }
}

}  // namespace

RolloutBatch sample_and_score(StepContext& context, std::vector<Prompt> prompts, const std::vector<uint64_t>& draws,
                              StepStats& stats) {
  GRPO_CHECK(prompts.size() == draws.size(), prompts.size(), " prompts, ", draws.size(), " draws");
  metrics::Timer rollout_timer;
  std::vector<std::vector<Rollout>> groups(prompts.size());
  // One thread scores while this one samples: verifying takes microseconds, and the sampler's threads own the cores.
  Scorer scorer(1);
  const auto on_group = [&](const rollout::Group& group) {
    auto& rollouts = groups[group.request];
    for (size_t i = 0; i < group.completions.size(); ++i) {
      rollouts.push_back({.prompt = group.request, .sample = static_cast<int64_t>(i),
                          .completion = group.completions[i], .text = {}, .score = {}, .advantage = 0.0,
                          .old_log_probs = {}});
    }
    scorer.submit([&context, &prompt = prompts[group.request], &rollouts] { score_group(context, prompt, rollouts); });
  };
  const base::RandomKey key{static_cast<uint64_t>(context.config.run.seed), base::stream_id("train")};
  const auto sampled = context.engine.generate(make_requests(prompts, draws, context.config.rollout.group_size),
                                               sampling_of(context), key, on_group, context.should_stop);
  stats.rollout_s = rollout_timer.seconds();
  metrics::Timer reward_timer;
  scorer.wait();
  stats.reward_s = reward_timer.seconds();

  RolloutBatch batch;
  if (sampled.size() != prompts.size()) return batch;
  batch.prompts = std::move(prompts);
  batch.group_offsets.push_back(0);
  for (auto& group : groups) {
    std::move(group.begin(), group.end(), std::back_inserter(batch.rollouts));
    batch.group_offsets.push_back(static_cast<int64_t>(batch.rollouts.size()));
  }
  stats.tokens_prompt = context.engine.stats().prompt_tokens;
  count_rollouts(batch, stats);
  return batch;
}

}  // namespace grpo::trainer
