#include "trainer/plan_warnings.h"

#include <unordered_set>

#include "grpo/base/error.h"
#include "grpo/nn/product_path.h"
#include "trainer/group_sizes.h"
#include "trainer/memory_plan.h"

namespace grpo::trainer {
namespace {

using Warnings = std::vector<std::string>;

void warn_about_updates(const TrainConfig& config, int64_t steps, Warnings& out) {
  const int64_t updates = config.trainer.updates_per_step * config.trainer.epochs_per_step;
  if (updates == 1 && config.algorithm.old_logprobs == OldLogProbs::kSampler) {
    out.push_back("algorithm.old_logprobs: sampler has no effect with one update a step: no old log-probs are needed");
  }
  if (config.optimizer.warmup_updates >= steps * updates) {
    out.push_back(base::concat("optimizer.warmup_steps ", config.optimizer.warmup_updates,
                               " is not over within the run's ", steps * updates,
                               " updates: the learning rate never reaches optimizer.lr"));
  }
  const RolloutConfig& rollout = config.rollout;
  const int64_t most = most_rollouts(rollout) * longest_rollout(config);
  if (config.trainer.stream_update && config.trainer.micro_batch_tokens >= most) {
    out.push_back(base::concat("trainer.stream_update: one micro-batch of ", config.trainer.micro_batch_tokens,
                               " tokens holds the whole step, so nothing of the update begins before the rollout's "
                               "end; lower trainer.micro_batch_tokens"));
  }
  if (config.optimizer.lr == 0.0) out.push_back("optimizer.lr 0: nothing is learned");
}

void warn_about_advantage(const TrainConfig& config, Warnings& out) {
  const auto& advantage = config.algorithm.advantage;
  if (advantage.kind == algo::Advantage::kGrpo && advantage.std == algo::Std::kSample &&
      largest_size(config.rollout) == 2) {
    out.push_back(
        "algorithm.std: sample with groups of two gives advantages of 0.707 where the population std of the 2-GRPO "
        "paper gives 1");
  }
  if (kl_in_loss(config.algorithm) > 0.0 || config.algorithm.entropy_coef != 0.0) {
    out.push_back(
        "with KL or entropy in the loss, groups whose rewards are all equal are trained on too and cost as much as "
        "live ones");
  }
}

void warn_about_rollouts(const TrainConfig& config, int64_t problems, int64_t ranks, Warnings& out) {
  const RolloutConfig& rollout = config.rollout;
  if (rollout.prompts_per_step > problems) {
    out.push_back(base::concat("rollout.prompts_per_step ", rollout.prompts_per_step, " is more than the ", problems,
                               " problems: a step draws some of them twice"));
  }
  if (rollout.adaptive.mode != AdaptiveMode::kOff && rollout.group_size != RolloutConfig{}.group_size) {
    out.push_back(base::concat("rollout.group_size ", rollout.group_size,
                               " is not used: rollout.adaptive.choices says how large groups are"));
  }
  if (rollout.prompts_per_step < ranks) {
    out.push_back(base::concat("rollout.prompts_per_step ", rollout.prompts_per_step, " is less than ", ranks,
                               " ranks: some sample nothing"));
  }
  const int64_t longest = longest_together(config);
  if (longest > config.trainer.micro_batch_tokens) {
    out.push_back(base::concat(compares_groups(config.algorithm) ? "a group" : "a rollout", " can have ", longest,
                               " tokens, more than trainer.micro_batch_tokens ", config.trainer.micro_batch_tokens,
                               ": it is then trained alone and needs more memory than planned here"));
  }
  if (config.logging.rollouts_per_step > 0 && config.logging.rollouts_per_step < first_size(rollout)) {
    out.push_back(base::concat("logging.rollouts_per_step ", config.logging.rollouts_per_step,
                               " is less than one group of ", first_size(rollout),
                               ", and whole groups are written: no rollout will be"));
  }
}

void warn_about_positions(const TrainConfig& config, int64_t positions, Warnings& out) {
  const auto warn = [&](const std::string& completions) {
    out.push_back(base::concat("prompts of ", config.data.max_prompt_tokens, " and completions of ", completions,
                               " can exceed the model's ", positions, " positions; RoPE continues beyond them"));
  };
  if (longest_rollout(config) > positions)
    warn(base::concat(config.rollout.max_new_tokens, " tokens"));
  else if (longest_decoded(config) > positions)
    warn(base::concat(*config.eval.max_new_tokens, " tokens (eval.max_new_tokens)"));
}

void warn_about_adapters(const models::LoraConfig& lora, Warnings& out) {
  const models::LoraConfig unset;
  const bool asked = lora.alpha != unset.alpha || lora.dropout != unset.dropout || lora.targets != unset.targets;
  if (lora.rank == 0 && asked) {
    out.push_back(
        "no adapters: model.lora.rank is 0, so model.lora's other keys have no effect and the weights themselves are "
        "trained");
  }
}

void warn_about_evaluation(const TrainConfig& config, int64_t steps, const std::vector<data::Problem>& train,
                           const std::vector<data::Problem>& evaluated, Warnings& out) {
  if (config.checkpoint.every_steps > steps) {
    out.push_back(base::concat("checkpoint.every_steps ", config.checkpoint.every_steps, " is more than the ", steps,
                               " steps: only the last step is saved"));
  }
  if (config.eval.every_steps == 0) return;
  if (config.eval.every_steps > steps) {
    out.push_back(base::concat("eval.every_steps ", config.eval.every_steps, " is more than the ", steps,
                               " steps: only the start and the end are evaluated"));
  }
  if (config.eval.sampling.temperature == 0.0 && config.eval.samples > 1) {
    out.push_back(base::concat("eval.temperature 0 is greedy: the ", config.eval.samples,
                               " samples of a problem will be the same"));
  }
  std::unordered_set<std::string> trained;
  for (const auto& problem : train) trained.insert(problem.prompt);
  int64_t both = 0;
  for (const auto& problem : evaluated) both += trained.count(problem.prompt) > 0 ? 1 : 0;
  if (both > 0)
    out.push_back(base::concat(both, " of the ", evaluated.size(),
                               " problems of eval.data are in data.train too: their accuracy is no held-out figure"));
}

}  // namespace

std::vector<std::string> sampling_warnings(const TrainConfig& config, const models::ModelConfig& model,
                                           at::ScalarType dtype, bool cuda) {
  Warnings out;
  if (!cuda && nn::is_slow_here(dtype)) {
    out.push_back(
        "this CPU has no AVX2, and multiplies bfloat16 more slowly than float32: model.dtype: float32 is faster here, "
        "with "
        "twice the memory for weights");
  }
  const bool truncates = config.rollout.sampling.top_p < 1.0 || config.rollout.sampling.top_k > 0;
  if (truncates && config.trainer.updates_per_step * config.trainer.epochs_per_step > 1) {
    out.push_back(
        "top_p < 1 or top_k > 0 with several updates a step: the sampling distribution is not the old policy; with one "
        "update the trainer renormalises over what was sampled from");
  }
  warn_about_positions(config, model.max_positions, out);
  return out;
}

std::vector<std::string> plan_warnings(const TrainConfig& config, int64_t steps,
                                       const std::vector<data::Problem>& train,
                                       const std::vector<data::Problem>& evaluated, int64_t ranks) {
  Warnings out;
  warn_about_adapters(config.model.lora, out);
  warn_about_updates(config, steps, out);
  warn_about_advantage(config, out);
  warn_about_rollouts(config, static_cast<int64_t>(train.size()), ranks, out);
  warn_about_evaluation(config, steps, train, evaluated, out);
  return out;
}

}  // namespace grpo::trainer
