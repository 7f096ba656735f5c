#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grpo/algo/advantage.h"
#include "grpo/algo/aggregation.h"
#include "grpo/algo/kl.h"
#include "grpo/algo/policy_loss.h"
#include "grpo/algo/preference_loss.h"
#include "grpo/base/fields.h"
#include "grpo/data/dataset.h"
#include "grpo/dist/communicator.h"
#include "grpo/metrics/console.h"
#include "grpo/models/choices.h"
#include "grpo/models/lora.h"
#include "grpo/optim/optimizer_config.h"
#include "grpo/reward/reward.h"
#include "grpo/rollout/sampling_config.h"
#include "grpo/update/share_prompts.h"

namespace grpo::trainer {

struct RunConfig {
  std::string name = "run";
  int64_t seed = 1;
  std::string output = "runs";
  GRPO_FIELDS(f) {
    f("name", name, "folder of this run inside `output`");
    f("seed", seed, "seed of every random number: shuffling and sampling", base::at_least(0));
    f("output", output, "folder that holds the runs");
  }
};

/// The `model` section: the policy. (models::ModelConfig is what a model folder's config.json says.)
struct PolicyConfig {
  std::string path;
  models::WeightsChoice init = models::WeightsChoice::kPretrained;
  models::DtypeChoice dtype = models::DtypeChoice::kAuto;
  models::DeviceChoice device = models::DeviceChoice::kAuto;
  base::TextOrMap chat_template{.text = "auto", .map = {}};
  base::Auto<int64_t> max_positions;
  base::Auto<double> rope_theta;
  std::vector<std::string> freeze;
  models::LoraConfig lora;
  GRPO_FIELDS(f) {
    f("path", path, "Hugging Face model folder");
    f("init", init,
      "where a run starts: pretrained takes the folder's weights, random draws them from run.seed (normal with "
      "initializer_range, norms 1, biases 0), and the folder then needs config.json and tokenizer alone");
    f("dtype", dtype, "of the working weights; auto: as stored on a GPU, float32 on the CPU");
    f("device", device, "where the model computes; auto: a GPU where there is one");
    f("template", chat_template, "prompt template: auto, none, a built-in name, a text with {problem}, or a mapping");
    f("max_positions", max_positions, "context length to train with; auto: the model's", base::at_least(1));
    f("rope_theta", rope_theta, "rotary base; auto: the model's", base::above(0));
    f("freeze", freeze,
      "weights that are not trained, by the beginning of a part of their names, as [embed, layers.0, k_proj]; they "
      "take no gradient, no moments and no master");
    f("lora", lora, "low-rank adapters that are trained in place of the weights (docs/lora.md)");
  }
};

/// When the size of a prompt's group is not the same for all.
enum class AdaptiveMode {
  kOff,
  kExtend,   // groups begin small and grow while they are tied
  kPredict,  // each prompt's size is chosen from its running accuracy
};
inline std::vector<std::string> enum_names(AdaptiveMode) { return {"off", "extend", "predict"}; }

/// Which completions of an extended group are compared with one another.
enum class AdvantageFrom { kAll, kLastExtension };
inline std::vector<std::string> enum_names(AdvantageFrom) { return {"all", "last_extension"}; }

struct AdaptiveConfig {
  AdaptiveMode mode = AdaptiveMode::kOff;
  std::vector<int64_t> choices = {2, 4, 8, 16};
  double min_mixed = 0.5;
  std::optional<int64_t> max_rollouts;
  AdvantageFrom advantage_from = AdvantageFrom::kAll;
  GRPO_FIELDS(f) {
    f("mode", mode,
      "off; extend: every group begins with the smallest choice and grows to the next one while it is tied; predict: "
      "each prompt gets the smallest choice whose chance of a mixed group reaches min_mixed, by its running accuracy. "
      "rollout.group_size is not used then");
    f("choices", choices, "sizes of groups, rising");
    f("min_mixed", min_mixed, "chance of a mixed group that predict wants", base::between(0, 1));
    f("max_rollouts", max_rollouts, "rollouts a step; null: prompts_per_step times the largest choice",
      base::at_least(1));
    f("advantage_from", advantage_from,
      "completions of an extended group that are compared: all, or those of its last extension alone, which does "
      "without the bias of stopping on the group's own rewards (docs/algorithm.md)");
  }
};

struct ResampleConfig {
  std::optional<int64_t> max_rollouts;
  GRPO_FIELDS(f) {
    f("max_rollouts", max_rollouts,
      "tied groups are replaced by those of fresh prompts until prompts_per_step groups are live or a step has used so "
      "many rollouts; null is off",
      base::at_least(1));
  }
};

/// The soft length penalty of DAPO (arXiv 2503.14476).
struct OverlongConfig {
  int64_t buffer = 0;
  double penalty = 1.0;
  GRPO_FIELDS(f) {
    f("buffer", buffer, "last tokens before max_new_tokens in which a completion begins to cost; 0 is off",
      base::at_least(0));
    f("penalty", penalty, "what a completion of max_new_tokens costs; inside the buffer it rises evenly",
      base::at_least(0));
  }
};

struct RolloutConfig {
  int64_t prompts_per_step = 32;
  int64_t group_size = 2;
  AdaptiveConfig adaptive;
  ResampleConfig resample;
  rollout::SamplingConfig sampling;
  int64_t max_new_tokens = 256;
  OverlongConfig overlong;
  std::optional<int64_t> max_total_tokens;
  std::vector<int64_t> stop_ids;
  bool exact = false;
  int64_t page_size = 16;
  base::Auto<int64_t> max_sequences;
  base::Auto<double> kv_memory_gb;
  GRPO_FIELDS(f) {
    f("prompts_per_step", prompts_per_step, "prompts a step (Q)", base::at_least(1));
    f("group_size", group_size,
      "completions a prompt (G); 1: each is compared with the running mean of its prompt's rewards", base::at_least(1));
    f("adaptive", adaptive, "groups of different sizes");
    f("resample", resample, "fresh prompts for tied groups (dynamic sampling)");
    sampling.fields(f);  // temperature, top_p, top_k
    f.at("temperature").range = base::above(0);
    f.at("temperature").doc = "sampling temperature; the trainer divides its logits by the same";
    f("max_new_tokens", max_new_tokens, "longest completion", base::between(1, data::kMostTokens));
    f("overlong", overlong, "a penalty on completions that come near max_new_tokens, added to their reward");
    f("max_total_tokens", max_total_tokens, "longest prompt + completion; null: no other bound", base::at_least(2));
    f("stop_ids", stop_ids, "further token ids that end a completion");
    f("exact", exact,
      "a completion depends on seed, draw, sample and weights alone, bit for bit (on the CPU fp32 only)");
    f("page_size", page_size, "tokens in a page of the KV cache", base::between(1, 256));
    f("max_sequences", max_sequences, "sequences decoded together; auto: 256 on the CPU, 512 on a GPU",
      base::between(1, 1'000'000));
    f("kv_memory_gb", kv_memory_gb, "bound on the KV cache; auto: 4 on the CPU, what the update leaves of a GPU",
      base::above(0));
  }
};

/// What to do with a completion that was cut off at max_new_tokens.
enum class Truncated { kTrain, kMask, kZeroReward };
inline std::vector<std::string> enum_names(Truncated) { return {"train", "mask", "zero_reward"}; }

/// Which tokens of a completion with a negative advantage are trained.
enum class NegativeTokens { kAll, kFiltered };
inline std::vector<std::string> enum_names(NegativeTokens) { return {"all", "filtered"}; }

/// Where log pi_old comes from when a step makes several updates.
enum class OldLogProbs { kTrainer, kSampler };
inline std::vector<std::string> enum_names(OldLogProbs) { return {"trainer", "sampler"}; }

/// Where the KL penalty is applied.
enum class KlIn { kLoss, kReward };
inline std::vector<std::string> enum_names(KlIn) { return {"loss", "reward"}; }

struct KlConfig {
  double coef = 0.0;
  KlIn in = KlIn::kLoss;
  algo::KlEstimator estimator = algo::KlEstimator::kK3;
  std::optional<int64_t> sync_every;
  GRPO_FIELDS(f) {
    f("coef", coef, "weight of the KL term to the reference policy (the start weights); 0 is off", base::at_least(0));
    f("in", in,
      "loss: a term of the loss, with its own gradient; reward: the sum over a completion's tokens is subtracted from "
      "its "
      "reward, before groups are compared");
    f("estimator", estimator, "k1, k2 or k3");
    f("sync_every", sync_every,
      "steps after which the reference becomes the policy as it is then, again and again; null: it stays the start "
      "weights",
      base::at_least(1));
  }
};

/// What a step learns from: completions that the policy samples, or written ones.
enum class MethodKind {
  kGrpo,
  kSft,        // written completions
  kDpo,        // written pairs of a better and a worse one
  kOnlineDpo,  // such pairs from groups of its own completions
  kPpo,        // its own completions, judged token by token by a critic
};
inline std::vector<std::string> enum_names(MethodKind) { return {"grpo", "sft", "dpo", "online_dpo", "ppo"}; }

/// Method ppo (arXiv 1707.06347): a second model, the critic, says of every token what reward is to be expected.
struct PpoConfig {
  double gamma = 1.0;
  double lambda = 0.95;
  std::optional<double> value_clip = 0.2;
  bool normalise = true;
  std::string critic;
  std::optional<double> critic_lr;
  GRPO_FIELDS(f) {
    f("gamma", gamma, "discount of what comes a token later", base::between(0, 1));
    f("lambda", lambda,
      "of generalized advantage estimation: 0 trusts the critic's next value, 1 the rewards that came",
      base::between(0, 1));
    f("value_clip", value_clip, "how far a value may move in a step before its gradient ends; null is off",
      base::above(0));
    f("normalise", normalise, "the step's advantages are centred and divided by their deviation (plus std_eps)");
    f("critic", critic,
      "model folder that the critic begins with, as a reward model with one output; empty: the policy's start weights "
      "with a head of zeros");
    f("critic_lr", critic_lr, "the critic's learning rate; null: optimizer.lr", base::at_least(0));
  }
};

struct AlgorithmConfig {
  MethodKind method = MethodKind::kGrpo;
  algo::AdvantageConfig advantage;
  algo::PolicyLossConfig policy;
  algo::PreferenceConfig dpo;
  PpoConfig ppo;
  algo::Aggregation aggregation = algo::Aggregation::kTokenMean;
  algo::DenominatorScope denominator = algo::DenominatorScope::kAll;
  algo::EmptyRows empty_rows = algo::EmptyRows::kCount;
  KlConfig kl;
  double entropy_coef = 0.0;
  Truncated truncated = Truncated::kTrain;
  NegativeTokens negative_tokens = NegativeTokens::kAll;
  OldLogProbs old_logprobs = OldLogProbs::kTrainer;
  GRPO_FIELDS(f) {
    f("method", method,
      "grpo: learn from groups of sampled completions; online_dpo: from the best and the worst of each group; ppo: "
      "from "
      "completions whose tokens a critic judges; sft: from the texts of data.answer_key, word for word; dpo: from "
      "pairs "
      "of texts, data.chosen_key and data.rejected_key");
    advantage.fields(f);  // advantage, std, std_eps
    policy.fields(f);     // loss, clip_low, clip_high, dual_clip, ...
    f("dpo", dpo, "the loss of methods dpo and online_dpo");
    f("ppo", ppo, "the critic of method ppo");
    f("aggregation", aggregation, "how per-token terms become one loss");
    f("denominator", denominator, "whether rollouts of dead groups count in the loss denominators");
    f("empty_rows", empty_rows, "whether rollouts without a counted token count in sequence means");
    f("kl", kl, "KL to the reference policy");
    f("entropy_coef", entropy_coef, "entropy bonus; 0 is off", base::at_least(0));
    f("truncated", truncated,
      "completions cut at max_new_tokens: train on them, mask their loss, or zero_reward: train with reward 0");
    f("negative_tokens", negative_tokens,
      "of completions with a negative advantage: all, or filtered: without those that the sampler drew with a "
      "probability above 0.95");
    f("old_logprobs", old_logprobs, "source of the old log-probs when a step makes several updates");
  }
};

/// The weight of the KL term in the loss; 0 where the penalty is part of the reward.
inline double kl_in_loss(const AlgorithmConfig& algorithm) {
  return algorithm.kl.in == KlIn::kLoss ? algorithm.kl.coef : 0.0;
}

inline bool learns_written_texts(const AlgorithmConfig& algorithm) {
  return algorithm.method == MethodKind::kSft || algorithm.method == MethodKind::kDpo;
}

/// Whether a whole group of completions, sampled or written, is one term of the loss.
inline bool compares_groups(const AlgorithmConfig& algorithm) {
  return algorithm.method == MethodKind::kDpo || algorithm.method == MethodKind::kOnlineDpo ||
         (algorithm.method == MethodKind::kGrpo && algo::compares_sequences(algorithm.policy.loss));
}

/// Whether better completions are compared with worse ones, so that advantages only say which is which.
inline bool prefers(const AlgorithmConfig& algorithm) {
  return compares_groups(algorithm) ||
         (algorithm.method == MethodKind::kGrpo && algorithm.policy.loss == algo::Loss::kPair);
}

/// Whether a critic is trained beside the policy.
inline bool has_critic(const AlgorithmConfig& algorithm) { return algorithm.method == MethodKind::kPpo; }

/// Whether a second model, the reference, is held while training.
inline bool holds_reference(const AlgorithmConfig& algorithm) {
  return algorithm.kl.coef > 0.0 || algorithm.method == MethodKind::kOnlineDpo;
}

enum class OffloadOptimizer { kAuto, kTrue, kFalse };
inline std::vector<std::string> enum_names(OffloadOptimizer) { return {"auto", "true", "false"}; }

enum class RecomputeChoice { kAuto, kNone, kSelective, kFull };
inline std::vector<std::string> enum_names(RecomputeChoice) { return {"auto", "none", "selective", "full"}; }

/// What ends a run before trainer.steps are done.
struct StopOnConfig {
  std::string metric;
  std::optional<double> at_least;
  std::optional<int64_t> no_better_for;
  std::vector<std::string> signs = {"non_finite"};
  GRPO_FIELDS(f) {
    f("metric", metric, "a metric of metrics.jsonl that ends the run, as eval/heldout/mean@4; larger is better");
    f("at_least", at_least, "the run ends, with exit code 0, when the metric is as large as this");
    f("no_better_for", no_better_for, "it ends when the metric's largest value is so many steps old",
      base::at_least(1));
    f("signs", signs,
      "signs of divergence that end the run with an error, where others are only warned of: non_finite, ratio, "
      "constant_reward, length_collapse (docs/reliability.md)");
    f.read_list_as("signs");
  }
};

struct TrainerConfig {
  int64_t updates_per_step = 1;
  int64_t epochs_per_step = 1;
  std::optional<int64_t> steps;
  int64_t micro_batch_tokens = 32768;
  RecomputeChoice activation_checkpointing = RecomputeChoice::kAuto;
  OffloadOptimizer offload_optimizer = OffloadOptimizer::kAuto;
  update::SharePrompts share_prompts = update::SharePrompts::kAuto;
  bool stream_update = false;
  bool deterministic = false;
  StopOnConfig stop_on;
  int64_t threads = 0;
  GRPO_FIELDS(f) {
    f("updates_per_step", updates_per_step, "equal mini-batches of prompts a step is split into", base::at_least(1));
    f("epochs_per_step", epochs_per_step, "passes over a step's rollouts", base::at_least(1));
    f("steps", steps, "training steps; null: floor(epochs * problems / prompts_per_step)", base::at_least(1));
    f("micro_batch_tokens", micro_batch_tokens, "tokens of one forward and backward pass", base::at_least(1));
    f("activation_checkpointing", activation_checkpointing,
      "what is computed again in the backward to save memory: none, selective (the MLP), full (whole layers); auto: "
      "the least that fits");
    f("offload_optimizer", offload_optimizer,
      "master weights and moments stay in host memory, and an update brings them to the GPU part by part; auto: where "
      "the GPU has no room for them");
    f("share_prompts", share_prompts,
      "an update computes a prompt once for all its completions in a micro-batch: the same gradient up to rounding; "
      "auto: prompts of at least 32 tokens where that saves a tenth of the tokens (docs/performance.md)");
    f("stream_update", stream_update,
      "the step's one update begins while its tail still decodes: micro-batches of finished groups run beside the "
      "sampler; needs the memory of both at once");
    f("deterministic", deterministic,
      "on a GPU only kernels whose sums have a fixed order: two runs, and a resumed one, are bit-equal on one GPU "
      "type; on the CPU, for one number of threads, they always are");
    f("stop_on", stop_on, "what ends the run early: a metric's value, or signs of divergence");
    f("threads", threads, "CPU threads; 0: the cores this process may use", base::between(0, 1024));
  }
};

struct CheckpointConfig {
  int64_t every_steps = 20;
  int64_t keep = 3;
  std::string keep_best;
  bool export_model = true;
  int64_t stop_within_s = 540;
  GRPO_FIELDS(f) {
    f("every_steps", every_steps, "steps between checkpoints; 0: only the last step", base::at_least(0));
    f("keep", keep, "newest checkpoints kept", base::at_least(1));
    f("keep_best", keep_best,
      "a metric of metrics.jsonl, as eval/heldout/mean@4: the checkpoint where it was largest stays beside the newest "
      "ones, marked by the file checkpoints/best; of an evaluation's metric each new best is saved at once");
    f("stop_within_s", stop_within_s,
      "after a signal the run has saved and ended within this: the step under way is finished if its pace allows, else "
      "dropped and repeated later",
      base::at_least(0));
    f("export_model", export_model, "write model/ as a Hugging Face folder in the working dtype");
  }
};

struct EvalConfig {
  int64_t every_steps = 0;
  std::vector<std::string> data;
  int64_t samples = 4;
  rollout::SamplingConfig sampling{.temperature = 0.7, .top_p = 0.8, .top_k = 20};
  bool greedy = false;
  std::optional<int64_t> max_new_tokens;
  std::string judge = "auto";
  GRPO_FIELDS(f) {
    f("every_steps", every_steps, "steps between evaluations; 0 is off", base::at_least(0));
    f("data", data,
      "problem files, folders or patterns, as data.train; each file is one evaluation set named by its file name");
    f("samples", samples, "completions a problem (k)", base::at_least(1));
    sampling.fields(f);  // temperature, top_p, top_k
    f("greedy", greedy, "one more completion a problem at temperature 0, reported as eval/<set>/greedy");
    f("max_new_tokens", max_new_tokens, "null: rollout.max_new_tokens", base::between(1, data::kMostTokens));
    f("judge", judge,
      "the term of reward.terms that says which answers of evaluations are right, by its name; auto: the first that "
      "compares with the gold answer, or the first command or http term, or math where there is neither");
  }
};

struct LoggingConfig {
  metrics::ConsoleMode console = metrics::ConsoleMode::kAuto;
  bool tensorboard = true;
  std::string prometheus;
  int64_t rollouts_per_step = 64;
  GRPO_FIELDS(f) {
    f("console", console, "auto (a status block on a terminal, else lines), plain, quiet, or json (metrics on stdout)");
    f("tensorboard", tensorboard, "write TensorBoard event files");
    f("prometheus", prometheus, "host:port that serves the newest metrics, as 127.0.0.1:9400; empty is off");
    f("rollouts_per_step", rollouts_per_step, "rollouts written per step, whole groups in prompt order",
      base::at_least(0));
  }
};

/// Every setting of `grpo train`. docs/config.md is generated from these lists of fields.
struct TrainConfig {
  RunConfig run;
  PolicyConfig model;
  data::DataConfig data;
  RolloutConfig rollout;
  reward::RewardConfig reward;
  AlgorithmConfig algorithm;
  optim::OptimizerConfig optimizer;
  TrainerConfig trainer;
  dist::DistributedConfig distributed;
  CheckpointConfig checkpoint;
  EvalConfig eval;
  LoggingConfig logging;
  GRPO_FIELDS(f) {
    f("run", run, "the run and its folder");
    f("model", model, "the policy");
    f("data", data, "training problems");
    f("rollout", rollout, "sampling");
    f("reward", reward, "reward terms");
    f("algorithm", algorithm, "advantage and objective");
    f("optimizer", optimizer, "AdamW, or Muon for matrices");
    f("trainer", trainer, "updates");
    f("distributed", distributed, "ranks");
    f("checkpoint", checkpoint, "what is saved and when");
    f("eval", eval, "evaluation during training");
    f("logging", logging, "what is written besides metrics.jsonl");
  }
};

/// Throws base::ConfigError, naming both keys, for keys that contradict each other, such as mini-batches that do not
/// divide the prompts.
void validate(const TrainConfig& config);

/// Throws base::ConfigError unless data.train and model.path are named and run.output can be a folder. It is apart from
/// validate() because a plan can do without them.
void validate_inputs(const TrainConfig& config);

}  // namespace grpo::trainer
