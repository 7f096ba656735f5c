#include "grpo/trainer/replay.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>

#include "grpo/base/error.h"
#include "grpo/checkpoint/store.h"
#include "grpo/config/config.h"
#include "grpo/trainer/policy.h"
#include "trainer/gradient_probe.h"
#include "trainer/live_rollouts.h"
#include "trainer/plan.h"
#include "trainer/recorded_step.h"
#include "trainer/run_folder.h"
#include "trainer/sequences.h"
#include "trainer/step_stats.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

using algo::Advantage, algo::Aggregation, algo::Loss;

struct Algorithm {
  const char* name;
  Advantage advantage;
  Loss loss;
  Aggregation aggregation;
  MethodKind method = MethodKind::kGrpo;
  double clip_low = 0.2, clip_high = 0.28;
};

// The algorithms in the forms of the papers that include/grpo/algo names. The last three compare the best of a group
// with the worst, or all better ones with worse ones; their aggregation is not used.
constexpr Algorithm kAlgorithms[] = {
    {"grpo", Advantage::kGrpo, Loss::kClip, Aggregation::kSeqMeanTokenMean},
    {"dapo", Advantage::kGrpo, Loss::kClip, Aggregation::kTokenMean},
    {"dr_grpo", Advantage::kDrGrpo, Loss::kClip, Aggregation::kSeqMeanTokenSumNorm},
    {"rloo", Advantage::kRloo, Loss::kReinforce, Aggregation::kSeqMeanTokenSum},
    {"gspo", Advantage::kGrpo, Loss::kGspo, Aggregation::kSeqMeanTokenMean, MethodKind::kGrpo, 3e-4, 4e-4},
    {"cispo", Advantage::kGrpo, Loss::kCispo, Aggregation::kTokenMean},
    {"pair", Advantage::kGrpo, Loss::kPair, Aggregation::kSeqMeanTokenSum},
    {"pair_logistic", Advantage::kGrpo, Loss::kPairLogistic, Aggregation::kSeqMeanTokenSum},
    {"online_dpo", Advantage::kGrpo, Loss::kClip, Aggregation::kSeqMeanTokenSum, MethodKind::kOnlineDpo},
};

// The run's configuration with another algorithm, and without the KL and entropy terms of the loss and the dual clip
// that the run may have had. A KL penalty in the rewards stays, since it was recorded with them.
TrainConfig config_of(const TrainConfig& run, const Algorithm& algorithm) {
  TrainConfig config = run;
  config.algorithm.method = algorithm.method;
  config.algorithm.policy.clip_low = algorithm.clip_low;
  config.algorithm.policy.clip_high = algorithm.clip_high;
  config.algorithm.advantage.kind = algorithm.advantage;
  config.algorithm.policy.loss = algorithm.loss;
  config.algorithm.policy.dual_clip = std::nullopt;
  config.algorithm.aggregation = algorithm.aggregation;
  config.algorithm.kl.coef = 0.0;
  config.algorithm.entropy_coef = 0.0;
  config.algorithm.negative_tokens = NegativeTokens::kAll;
  return config;
}

TrainConfig config_of_run(const ReplayOptions& options) {
  const fs::path folder = options.run;
  if (!is_run(folder)) throw base::ConfigError(options.run + ": not a run of this program (no run.json of ours)");
  TrainConfig config;
  const auto file = folder / "config.yaml";
  std::vector<std::string> overrides = {"model.dtype=float32"};
  if (!options.device.empty()) overrides.push_back("model.device=" + options.device);
  config::load(base::fields_of(config), {.file = file, .overrides = overrides});
  config.model.path = config::resolve_path(config.model.path, folder).string();
  if (config.model.lora.rank > 0)
    throw base::ConfigError(options.run + ": runs of adapters (model.lora) are not replayed");
  if (has_critic(config.algorithm))
    throw base::ConfigError(options.run + ": the advantages of method ppo are a critic's, and are not replayed");
  if (learns_written_texts(config.algorithm))
    throw base::ConfigError(options.run + ": it learns written texts, and has no rollouts to replay");
  return config;
}

class Replay {
 public:
  explicit Replay(const ReplayOptions& options)
      : options_(options),
        config_(config_of_run(options)),
        store_(fs::path(options.run) / "checkpoints"),
        counts_(step_counts(options.run)) {}

  // The steps to replay: those that were asked for, or all that were recorded and whose weights are there.
  std::vector<int64_t> steps() const {
    if (!options_.steps.empty()) return options_.steps;
    std::vector<int64_t> steps;
    if (has_rollouts(1)) steps.push_back(1);
    for (const int64_t step : store_.steps()) {
      if (has_weights(step) && has_rollouts(step + 1)) steps.push_back(step + 1);
    }
    if (steps.empty()) throw base::ConfigError(options_.run + ": no step was recorded (rollouts/step_*.jsonl)");
    return steps;
  }

  ReplayedStep step(int64_t step) {
    if (step < 1) throw base::ConfigError(base::concat("--step ", step, ": steps begin at 1"));
    RolloutBatch batch = read_rollouts(rollouts_path(options_.run, step));
    load_weights(options_.at.value_or(step - 1));
    ReplayedStep result{.step = step,
                        .rollouts = static_cast<int64_t>(batch.rollouts.size()),
                        .sampled = counts_[step].rollouts,
                        .groups = batch.num_groups()};
    // Groups that were replaced had no part in the step, and their rollouts do not count in the denominators.
    const auto groups = learned_groups(config_, batch, counts_[step].groups_replaced);
    const auto rollouts = rollouts_of(batch, groups);
    // The first gradient is that of the run itself, with its recorded advantages.
    std::vector<Gradient> gradients = {gradient(config_, batch, rollouts)};
    for (const Algorithm& algorithm : kAlgorithms) {
      const TrainConfig config = config_of(config_, algorithm);
      set_advantages(batch, config.algorithm.advantage, config.rollout);
      gradients.push_back(gradient(config, batch, rollouts));
    }
    result.live = std::count_if(groups.begin(), groups.end(), [&](size_t q) { return has_advantage(batch, q); });
    compare(gradients, result);
    return result;
  }

 private:
  bool has_rollouts(int64_t step) const { return fs::exists(rollouts_path(options_.run, step)); }
  bool has_weights(int64_t step) const { return fs::is_directory(store_.path_of(step) / "model"); }

  std::string steps_with_weights() const {
    std::string all = "0";
    for (const int64_t step : store_.steps()) {
      if (has_weights(step)) all += base::concat(", ", step);
    }
    return all;
  }

  // Loads the weights as they were after `step` steps of the run.
  void load_weights(int64_t step) {
    if (probe_ && loaded_ == step) return;
    if (step > 0 && !has_weights(step)) {
      throw base::ConfigError(base::concat(options_.run, ": no checkpoint has the weights after step ", step,
                                           "; there are those after ", steps_with_weights(),
                                           " (checkpoint.every_steps, checkpoint.keep, checkpoint.export_model)"));
    }
    probe_.reset();
    model_.reset();
    const auto seed = static_cast<uint64_t>(config_.run.seed);
    model_ = load_model(config_.model, step > 0 ? store_.path_of(step) / "model" : fs::path(), 0, seed);
    model_->freeze(config_.model.freeze);
    if (holds_reference(config_.algorithm) && config_.algorithm.kl.sync_every)
      throw base::ConfigError("algorithm.kl.sync_every: a reference that moves is not replayed");
    if (!reference_) reference_ = load_model(config_.model, {}, 0, seed);
    probe_ = std::make_unique<GradientProbe>(*model_, reference_.get(), config_.trainer.micro_batch_tokens);
    loaded_ = step;
  }

  Gradient gradient(TrainConfig config, const RolloutBatch& batch, const std::vector<size_t>& rollouts) {
    config.trainer.updates_per_step = 1;
    config.trainer.epochs_per_step = options_.at ? 2 : 1;  // other weights are like those in a later update of the step
    auto learned = batch_of(config, batch, rollouts);
    for (auto& sequence : learned.sequences) {
      if (options_.at) sequence.old_log_probs = sequence.sampler_log_probs;
    }
    return probe_->gradient(config, learned);
  }

  static void compare(const std::vector<Gradient>& gradients, ReplayedStep& result) {
    const size_t count = gradients.size();
    for (const Gradient& gradient : gradients) result.norms.push_back(std::sqrt(dot(gradient, gradient)));
    result.cosines.assign(count, std::vector<double>(count, std::numeric_limits<double>::quiet_NaN()));
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = i; j < count; ++j) {
        const double lengths = result.norms[i] * result.norms[j];
        if (lengths == 0.0) continue;
        result.cosines[i][j] = result.cosines[j][i] = i == j ? 1.0 : dot(gradients[i], gradients[j]) / lengths;
      }
    }
  }

  const ReplayOptions& options_;
  const TrainConfig config_;
  const checkpoint::Store store_;
  std::map<int64_t, StepCounts> counts_;  // by step
  std::unique_ptr<models::CausalLM> model_, reference_;
  std::unique_ptr<GradientProbe> probe_;
  int64_t loaded_ = 0;
};

}  // namespace

std::vector<std::string> replayed_algorithms() {
  std::vector<std::string> names = {"run"};
  for (const Algorithm& algorithm : kAlgorithms) names.emplace_back(algorithm.name);
  return names;
}

std::vector<ReplayedStep> replay(const ReplayOptions& options) {
  at::set_num_threads(num_threads(options.threads));
  Replay replay(options);
  std::vector<ReplayedStep> steps;
  for (const int64_t step : replay.steps()) steps.push_back(replay.step(step));
  return steps;
}

}  // namespace grpo::trainer
