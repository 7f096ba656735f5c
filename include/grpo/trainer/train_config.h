#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grpo/algo/advantage.h"
#include "grpo/algo/aggregation.h"
#include "grpo/algo/kl.h"
#include "grpo/algo/policy_loss.h"
#include "grpo/base/fields.h"
#include "grpo/data/dataset.h"
#include "grpo/dist/communicator.h"
#include "grpo/metrics/console.h"
#include "grpo/models/choices.h"
#include "grpo/optim/optimizer_config.h"
#include "grpo/reward/reward.h"
#include "grpo/rollout/sampling_config.h"

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
      "take "
      "no gradient, no moments and no master");
  }
};

struct RolloutConfig {
  int64_t prompts_per_step = 32;
  int64_t group_size = 2;
  rollout::SamplingConfig sampling;
  int64_t max_new_tokens = 256;
  std::optional<int64_t> max_total_tokens;
  std::vector<int64_t> stop_ids;
  bool exact = false;
  int64_t page_size = 16;
  base::Auto<int64_t> max_sequences;
  base::Auto<double> kv_memory_gb;
  GRPO_FIELDS(f) {
    f("prompts_per_step", prompts_per_step, "prompts a step (Q)", base::at_least(1));
    f("group_size", group_size, "completions a prompt (G)", base::at_least(1));
    sampling.fields(f);  // temperature, top_p, top_k
    f.at("temperature").range = base::above(0);
    f.at("temperature").doc = "sampling temperature; the trainer divides its logits by the same";
    f.at("top_p").doc = "nucleus sampling; below 1 the sampling distribution is not the old policy";
    f("max_new_tokens", max_new_tokens, "longest completion", base::at_least(1));
    f("max_total_tokens", max_total_tokens, "longest prompt + completion; null: no other bound", base::at_least(2));
    f("stop_ids", stop_ids, "further token ids that end a completion");
    f("exact", exact,
      "a completion depends on seed, draw, sample and weights alone, bit for bit (on the CPU fp32 only)");
    f("page_size", page_size, "tokens in a page of the KV cache", base::between(1, 256));
    f("max_sequences", max_sequences, "sequences decoded together; auto: 256 on the CPU, 512 on a GPU",
      base::at_least(1));
    f("kv_memory_gb", kv_memory_gb, "bound on the KV cache; auto: 4 on the CPU, what the update leaves of a GPU",
      base::above(0));
  }
};

/// What to do with a completion that ended at max_new_tokens.
enum class Truncated { kTrain, kMask };
inline std::vector<std::string> enum_names(Truncated) { return {"train", "mask"}; }

/// Where log pi_old comes from when a step makes several updates.
enum class OldLogProbs { kTrainer, kSampler };
inline std::vector<std::string> enum_names(OldLogProbs) { return {"trainer", "sampler"}; }

struct KlConfig {
  double coef = 0.0;
  algo::KlEstimator estimator = algo::KlEstimator::kK3;
  GRPO_FIELDS(f) {
    f("coef", coef, "weight of the KL term to the reference policy (the start weights); 0 is off", base::at_least(0));
    f("estimator", estimator, "k1, k2 or k3 (added to the loss)");
  }
};

/// What a step learns from: groups of its own completions, or written ones.
enum class MethodKind { kGrpo, kSft };
inline std::vector<std::string> enum_names(MethodKind) { return {"grpo", "sft"}; }

struct AlgorithmConfig {
  MethodKind method = MethodKind::kGrpo;
  algo::AdvantageConfig advantage;
  algo::PolicyLossConfig policy;
  algo::Aggregation aggregation = algo::Aggregation::kTokenMean;
  algo::DenominatorScope denominator = algo::DenominatorScope::kAll;
  algo::EmptyRows empty_rows = algo::EmptyRows::kCount;
  KlConfig kl;
  double entropy_coef = 0.0;
  Truncated truncated = Truncated::kTrain;
  OldLogProbs old_logprobs = OldLogProbs::kTrainer;
  GRPO_FIELDS(f) {
    f("method", method,
      "grpo: learn from groups of sampled completions; sft: from the texts of data.answer_key, word for word");
    advantage.fields(f);  // advantage, std, std_eps
    policy.fields(f);     // loss, clip_low, clip_high, dual_clip, ...
    f("aggregation", aggregation, "how per-token terms become one loss");
    f("denominator", denominator, "whether rollouts of dead groups count in the loss denominators");
    f("empty_rows", empty_rows, "whether rollouts without a counted token count in sequence means");
    f("kl", kl, "KL to the reference policy");
    f("entropy_coef", entropy_coef, "entropy bonus; 0 is off", base::at_least(0));
    f("truncated", truncated, "completions cut at max_new_tokens: train on them, or mask their loss");
    f("old_logprobs", old_logprobs, "source of the old log-probs when a step makes several updates");
  }
};

inline bool learns_written_texts(const AlgorithmConfig& algorithm) { return algorithm.method == MethodKind::kSft; }

enum class OffloadOptimizer { kAuto, kTrue, kFalse };
inline std::vector<std::string> enum_names(OffloadOptimizer) { return {"auto", "true", "false"}; }

enum class RecomputeChoice { kAuto, kNone, kSelective, kFull };
inline std::vector<std::string> enum_names(RecomputeChoice) { return {"auto", "none", "selective", "full"}; }

struct TrainerConfig {
  int64_t updates_per_step = 1;
  int64_t epochs_per_step = 1;
  std::optional<int64_t> steps;
  int64_t micro_batch_tokens = 32768;
  RecomputeChoice activation_checkpointing = RecomputeChoice::kAuto;
  OffloadOptimizer offload_optimizer = OffloadOptimizer::kAuto;
  bool stream_update = false;
  bool deterministic = false;
  std::vector<std::string> stop_on = {"non_finite"};
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
    f("stream_update", stream_update,
      "the step's one update begins while its tail still decodes: micro-batches of finished groups run beside the "
      "sampler; needs the memory of both at once");
    f("deterministic", deterministic,
      "on a GPU only kernels whose sums have a fixed order: two runs, and a resumed one, are bit-equal on one GPU "
      "type; on the CPU, for one number of threads, they always are");
    f("stop_on", stop_on,
      "signs of divergence that end the run, where others are only warned of: non_finite, ratio, constant_reward, "
      "length_collapse (docs/reliability.md)");
    f("threads", threads, "CPU threads; 0: the cores this process may use", base::at_least(0));
  }
};

struct CheckpointConfig {
  int64_t every_steps = 20;
  int64_t keep = 3;
  bool export_model = true;
  int64_t stop_within_s = 540;
  GRPO_FIELDS(f) {
    f("every_steps", every_steps, "steps between checkpoints; 0: only the last step", base::at_least(0));
    f("keep", keep, "newest checkpoints kept", base::at_least(1));
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
    f("max_new_tokens", max_new_tokens, "null: rollout.max_new_tokens", base::at_least(1));
    f("judge", judge,
      "the term of reward.terms that says which answers are right, by its name; auto: the first that compares with the "
      "gold answer, or the first command or http term, or math where there is neither");
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

/// Everything `grpo train` can be told. docs/config.md is generated from these lists.
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

/// Contradictions between keys (mini-batches that do not divide the prompts, ...): throws base::ConfigError naming
/// both.
void validate(const TrainConfig& config);

/// That model, data and run.output are named at all, which a plan may do without. Throws base::ConfigError.
void validate_inputs(const TrainConfig& config);

}  // namespace grpo::trainer
