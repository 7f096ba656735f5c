#include "grpo/trainer/gradient_variance.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "grpo/base/error.h"
#include "trainer/draws.h"
#include "trainer/gradient_probe.h"
#include "trainer/load_prompts.h"
#include "trainer/mean.h"
#include "trainer/plan.h"
#include "trainer/run.h"
#include "trainer/sequences.h"
#include "trainer/step_stats.h"
#include "trainer/train_shares.h"

namespace grpo::trainer {
namespace {

constexpr size_t kParts = 8;

// Sums over a part of the redraws, from which the variance over these follows.
struct Sums {
  Gradient gradient;    // sum of the gradients, in double; empty before the first one
  double square = 0.0;  // sum of their squared norms
  int64_t count = 0;    // number of redraws

  void add(const Gradient& one) {
    if (gradient.empty()) {
      for (const auto& tensor : one) gradient.push_back(tensor.to(at::kDouble));
    } else {
      for (size_t i = 0; i < one.size(); ++i) gradient[i] += one[i];
    }
    square += dot(one, one);
    ++count;
  }

  double variance() const {
    const auto n = static_cast<double>(count);
    return (square - dot(gradient, gradient) / n) / (n - 1.0);
  }
  double mean_square() const {
    const auto n = static_cast<double>(count);
    return (dot(gradient, gradient) - square) / (n * (n - 1.0));
  }
};

Sums total(const std::array<Sums, kParts>& parts) {
  Sums sum;
  for (const Sums& part : parts) {
    if (sum.gradient.empty()) {
      for (const auto& tensor : part.gradient) sum.gradient.push_back(tensor.clone());
    } else {
      for (size_t i = 0; i < sum.gradient.size(); ++i) sum.gradient[i] += part.gradient[i];
    }
    sum.square += part.square;
    sum.count += part.count;
  }
  return sum;
}

// The standard error of the mean of the parts' variances, which serves as that of the variance of all redraws.
double spread(const std::array<Sums, kParts>& parts) {
  double sum = 0.0, square = 0.0;
  for (const Sums& part : parts) {
    const double variance = part.variance();
    sum += variance;
    square += variance * variance;
  }
  const auto n = static_cast<double>(kParts);
  return std::sqrt(std::max(0.0, square - sum * sum / n) / (n - 1.0) / n);
}

// Samples a step that has nothing to do with any other: its prompts and samples depend on config.run.seed alone.
RolloutBatch sample_step(Run& run, const TrainConfig& config, StepStats& stats) {
  data::PromptSampler sampler(train_shares(config.data.train, run.prompts), static_cast<uint64_t>(config.run.seed),
                              /*shuffle=*/true);
  const auto& rollout = config.rollout;
  Draws draws(
      [&](size_t number) -> Draw {
        return {.prompt = run.prompts[static_cast<size_t>(sampler.row_of(number))],
                .ordinal = number,
                .size = rollout.group_size};
      },
      rollout.prompts_per_step, rollout.prompts_per_step* rollout.group_size);
  int64_t longest = 0;
  for (const Prompt& prompt : run.prompts) longest = std::max(longest, static_cast<int64_t>(prompt.ids.size()));
  const StepContext context{.config = config,
                            .policy = run.policy,
                            .engine = *run.engine,
                            .reward = *run.reward,
                            .learner = run.learner(),
                            .step = 1,
                            .longest_prompt = longest,
                            .should_stop = [] { return false; }};
  auto batch = sample_and_score(context, draws, stats);
  set_advantages(batch, config.algorithm.advantage, rollout);
  count_groups(rollout, batch, stats);
  return batch;
}

VarianceOf measure(Run& run, GradientProbe& probe, TrainConfig config, int64_t redraws,
                   const std::function<void()>& on_redraw) {
  const int64_t seed = config.run.seed;
  std::array<Sums, kParts> parts;
  std::vector<double> live_shares, accuracies;
  VarianceOf result{
      .prompts = config.rollout.prompts_per_step, .group_size = config.rollout.group_size, .redraws = redraws};
  for (int64_t r = 0; r < redraws; ++r) {
    config.run.seed = seed + r;
    StepStats stats;
    const auto batch = sample_step(run, config, stats);
    std::vector<size_t> all(batch.rollouts.size());
    std::iota(all.begin(), all.end(), size_t{0});
    parts[static_cast<size_t>(r) % kParts].add(probe.gradient(config, batch_of(config, batch, all)));
    live_shares.push_back(static_cast<double>(stats.groups_live) / static_cast<double>(batch.num_groups()));
    accuracies.push_back(stats.accuracy);
    on_redraw();
  }
  result.live_share = mean_of(live_shares);
  result.accuracy = mean_of(accuracies);
  const Sums sums = total(parts);
  result.variance = sums.variance();
  result.error = spread(parts);
  result.mean_square = sums.mean_square();
  return result;
}

void check(const TrainConfig& config, const VarianceOptions& options) {
  if (learns_written_texts(config.algorithm))
    throw base::ConfigError("algorithm.method: the variance is that of groups");
  if (has_critic(config.algorithm))
    throw base::ConfigError("algorithm.method: ppo: its advantages are a critic's, and the variance is that of groups");
  if (config.algorithm.kl.coef > 0.0 && config.algorithm.kl.in == KlIn::kReward) {
    throw base::ConfigError(
        "algorithm.kl.in: reward: the variance is measured at the start weights, where the KL to the reference is 0; "
        "set "
        "algorithm.kl.coef: 0");
  }
  if (options.redraws < static_cast<int64_t>(2 * kParts))
    throw base::ConfigError(base::concat("--redraws ", options.redraws, ": at least ", 2 * kParts));
  for (const int64_t rollouts : options.rollouts) {
    for (const int64_t size : options.group_sizes) {
      if (size < 2 || rollouts < size || rollouts % size != 0)
        throw base::ConfigError(base::concat("--rollouts ", rollouts, " is no multiple of the group size ", size,
                                             " (groups have at least 2)"));
    }
  }
}

// The configuration that the run is assembled with. It has the sizes of the step with most prompts, so that one sampler
// serves all steps, and leaves out what would make a step differ from the plain form that is measured.
TrainConfig prepared(TrainConfig config, const VarianceOptions& options) {
  config.model.dtype = models::DtypeChoice::kFloat32;
  config.rollout.adaptive.mode = AdaptiveMode::kOff;
  config.rollout.resample.max_rollouts = std::nullopt;
  config.data.order = data::Order::kShuffle;
  config.trainer.updates_per_step = config.trainer.epochs_per_step = 1;
  config.trainer.stream_update = false;
  config.eval.every_steps = 0;
  config.rollout.group_size = *std::min_element(options.group_sizes.begin(), options.group_sizes.end());
  config.rollout.prompts_per_step =
      *std::max_element(options.rollouts.begin(), options.rollouts.end()) / config.rollout.group_size;
  validate(config);
  return config;
}

}  // namespace

std::vector<VarianceOf> gradient_variance(TrainConfig config, const std::string& config_folder,
                                          const VarianceOptions& options) {
  check(config, options);
  resolve_paths(config, config_folder);
  config = prepared(config, options);
  at::set_num_threads(num_threads(config.trainer.threads));
  const auto communicator = dist::make_communicator({.backend = dist::Backend::kSingle});
  const auto run = assemble(config, {}, *communicator);
  GradientProbe probe(*run->policy.model, run->reference.get(), config.trainer.micro_batch_tokens);
  const auto total = static_cast<int64_t>(options.rollouts.size() * options.group_sizes.size()) * options.redraws;
  int64_t done = 0;
  const auto on_redraw = [&] {
    if (options.on_progress) options.on_progress(++done, total);
  };
  std::vector<VarianceOf> results;
  for (const int64_t rollouts : options.rollouts) {
    for (const int64_t size : options.group_sizes) {
      TrainConfig step = config;
      step.rollout.group_size = size;
      step.rollout.prompts_per_step = rollouts / size;
      results.push_back(measure(*run, probe, step, options.redraws, on_redraw));
    }
  }
  return results;
}

}  // namespace grpo::trainer
