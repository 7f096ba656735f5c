#include "config/sample.h"

// A whole training configuration in the shape that the documentation shows: one flow mapping a section.

namespace grpo::config {
namespace {

using testing::ElementsAre;

enum class Advantage { kGrpo, kDrGrpo };
std::vector<std::string> enum_names(Advantage) { return {"grpo", "dr_grpo"}; }
enum class Std { kPopulation, kSample, kNone };
std::vector<std::string> enum_names(Std) { return {"population", "sample", "none"}; }

struct Run {
  std::string name, output;
  int64_t seed = 0;
  GRPO_FIELDS(f) {
    f("name", name, "");
    f("seed", seed, "");
    f("output", output, "");
  }
};
struct Model {
  std::string path, dtype, device;
  base::TextOrMap chat_template;
  GRPO_FIELDS(f) {
    f("path", path, "");
    f("dtype", dtype, "");
    f("device", device, "");
    f("template", chat_template, "");
  }
};
struct Data {
  std::vector<std::string> train;
  std::string prompt_key, answer_key;
  int64_t epochs = 1, max_prompt_tokens = 0;
  bool shuffle = false;
  GRPO_FIELDS(f) {
    f("train", train, "");
    f("prompt_key", prompt_key, "");
    f("answer_key", answer_key, "");
    f("epochs", epochs, "", base::at_least(1));
    f("shuffle", shuffle, "");
    f("max_prompt_tokens", max_prompt_tokens, "", base::at_least(1));
  }
};
struct Rollout {
  int64_t prompts_per_step = 1, group_size = 1, top_k = 7, max_new_tokens = 1;
  double temperature = 0, top_p = 0;
  GRPO_FIELDS(f) {
    f("prompts_per_step", prompts_per_step, "", base::at_least(1));
    f("group_size", group_size, "", base::at_least(1));
    f("temperature", temperature, "", base::above(0));
    f("top_p", top_p, "", base::between(0, 1));
    f("top_k", top_k, "", base::at_least(0));
    f("max_new_tokens", max_new_tokens, "", base::at_least(1));
  }
};
struct Reward {
  std::vector<Term> terms;
  GRPO_FIELDS(f) { f("terms", terms, ""); }
};
struct Kl {
  double coef = 1;
  GRPO_FIELDS(f) { f("coef", coef, "", base::at_least(0)); }
};
struct AdvantagePart {
  Advantage advantage = Advantage::kDrGrpo;
  Std std = Std::kNone;
  double std_eps = 0;
  GRPO_FIELDS(f) {
    f("advantage", advantage, "");
    f("std", std, "");
    f("std_eps", std_eps, "", base::at_least(0));
  }
};
struct Algorithm {
  AdvantagePart advantage;
  std::string loss, aggregation;
  double clip_low = 0, clip_high = 0;
  Kl kl;
  GRPO_FIELDS(f) {
    advantage.fields(f);  // a struct whose keys are not a section of their own
    f("loss", loss, "");
    f("clip_low", clip_low, "", base::at_least(0));
    f("clip_high", clip_high, "", base::at_least(0));
    f("aggregation", aggregation, "");
    f("kl", kl, "");
  }
};
struct Optimizer {
  double lr = 0, weight_decay = 0;
  int64_t warmup_steps = 0;
  std::string schedule;
  std::vector<double> betas;
  std::optional<double> clip_grad_norm;
  GRPO_FIELDS(f) {
    f("lr", lr, "", base::at_least(0));
    f("warmup_steps", warmup_steps, "", base::at_least(0));
    f("schedule", schedule, "");
    f("weight_decay", weight_decay, "", base::at_least(0));
    f("betas", betas, "", base::between(0, 1));
    f("clip_grad_norm", clip_grad_norm, "", base::above(0));
  }
};
struct Trainer {
  int64_t updates_per_step = 0, epochs_per_step = 0, micro_batch_tokens = 0;
  std::optional<int64_t> steps = 5;
  std::string activation_checkpointing;
  GRPO_FIELDS(f) {
    f("updates_per_step", updates_per_step, "");
    f("epochs_per_step", epochs_per_step, "");
    f("steps", steps, "", base::at_least(1));
    f("micro_batch_tokens", micro_batch_tokens, "");
    f("activation_checkpointing", activation_checkpointing, "");
  }
};
struct Distributed {
  std::string backend, sharding;
  double timeout_s = 0;
  GRPO_FIELDS(f) {
    f("backend", backend, "");
    f("sharding", sharding, "");
    f("timeout_s", timeout_s, "", base::above(0));
  }
};
struct Checkpoint {
  int64_t every_steps = 0, keep = 0;
  bool export_model = false;
  GRPO_FIELDS(f) {
    f("every_steps", every_steps, "");
    f("keep", keep, "");
    f("export_model", export_model, "");
  }
};
struct Eval {
  int64_t every_steps = 0, samples = 0, top_k = 0;
  std::vector<std::string> data;
  double temperature = 0, top_p = 0;
  GRPO_FIELDS(f) {
    f("every_steps", every_steps, "");
    f("data", data, "");
    f("samples", samples, "");
    f("temperature", temperature, "");
    f("top_p", top_p, "");
    f("top_k", top_k, "");
  }
};
struct Logging {
  bool tensorboard = false;
  int64_t rollouts_per_step = 0;
  GRPO_FIELDS(f) {
    f("tensorboard", tensorboard, "");
    f("rollouts_per_step", rollouts_per_step, "");
  }
};
struct Train {
  Run run;
  Model model;
  Data data;
  Rollout rollout;
  Reward reward;
  Algorithm algorithm;
  Optimizer optimizer;
  Trainer trainer;
  Distributed distributed;
  Checkpoint checkpoint;
  Eval eval;
  Logging logging;
  GRPO_FIELDS(f) {
    f("run", run, "");
    f("model", model, "");
    f("data", data, "");
    f("rollout", rollout, "");
    f("reward", reward, "");
    f("algorithm", algorithm, "");
    f("optimizer", optimizer, "");
    f("trainer", trainer, "");
    f("distributed", distributed, "");
    f("checkpoint", checkpoint, "");
    f("eval", eval, "");
    f("logging", logging, "");
  }
};

const char* const kTwoGrpo = R"(
run:        {name: qwen1.5b_2grpo, seed: 1, output: runs}
model:      {path: models/Qwen2.5-Math-1.5B, dtype: bfloat16, device: auto, template: qwen-math}
data:       {train: [data/math_train.jsonl], prompt_key: problem, answer_key: answer, epochs: 10, shuffle: true, max_prompt_tokens: 1024}
rollout:    {prompts_per_step: 256, group_size: 2, temperature: 1.0, top_p: 1.0, top_k: 0, max_new_tokens: 4096}
reward:     {terms: [{type: math, weight: 1.0}]}
algorithm:  {advantage: grpo, std: population, std_eps: 1.0e-6, loss: clip, clip_low: 0.2, clip_high: 0.28, aggregation: token_mean, kl: {coef: 0.0}}
optimizer:  {lr: 8.0e-6, warmup_steps: 10, schedule: constant, weight_decay: 0.01, betas: [0.9, 0.999], clip_grad_norm: 1.0}
trainer:    {updates_per_step: 1, epochs_per_step: 1, steps: null, micro_batch_tokens: 32768, activation_checkpointing: auto}
distributed: {backend: auto, sharding: auto, timeout_s: 1800}
checkpoint: {every_steps: 20, keep: 3, export_model: true}
eval:       {every_steps: 20, data: [data/math500.jsonl], samples: 4, temperature: 0.7, top_p: 0.8, top_k: 20}
logging:    {tensorboard: true, rollouts_per_step: 64}
)";

class RunFile : public ConfigTest {
 protected:
  static Train train_from(const std::string& file, const std::vector<std::string>& overrides = {}) {
    Train train;
    load(base::fields_of(train), {.file = file, .overrides = overrides});
    return train;
  }
  void SetUp() override {
    ConfigTest::SetUp();
    write("configs/qwen1.5b_2grpo.yaml", kTwoGrpo);
  }
};

TEST_F(RunFile, ReadsEverySection) {
  const Train t = train_from("configs/qwen1.5b_2grpo.yaml");
  EXPECT_EQ(t.run.name, "qwen1.5b_2grpo");
  EXPECT_EQ(t.model.chat_template.text, "qwen-math");
  EXPECT_THAT(t.data.train, ElementsAre("data/math_train.jsonl"));
  EXPECT_EQ(t.data.epochs, 10);
  EXPECT_TRUE(t.data.shuffle);
  EXPECT_EQ(t.rollout.prompts_per_step, 256);
  EXPECT_EQ(t.rollout.top_k, 0);
  EXPECT_THAT(t.reward.terms, ElementsAre(Term{"math", 1.0}));
  EXPECT_EQ(t.algorithm.advantage.advantage, Advantage::kGrpo);
  EXPECT_EQ(t.algorithm.advantage.std, Std::kPopulation);
  EXPECT_EQ(t.algorithm.advantage.std_eps, 1e-6);
  EXPECT_EQ(t.algorithm.clip_high, 0.28);
  EXPECT_EQ(t.algorithm.kl.coef, 0.0);
  EXPECT_EQ(t.optimizer.lr, 8e-6);
  EXPECT_THAT(t.optimizer.betas, ElementsAre(0.9, 0.999));
  EXPECT_EQ(t.trainer.steps, std::nullopt);
  EXPECT_EQ(t.distributed.timeout_s, 1800.0);
  EXPECT_TRUE(t.checkpoint.export_model);
  EXPECT_EQ(t.eval.top_p, 0.8);
  EXPECT_EQ(t.logging.rollouts_per_step, 64);
}

TEST_F(RunFile, ASecondFileInheritsAndChangesAFewKeys) {
  write("configs/qwen1.5b_16grpo.yaml",
        "base: qwen1.5b_2grpo.yaml\n"
        "run: {name: qwen1.5b_16grpo}\n"
        "rollout: {prompts_per_step: 32, group_size: 16}\n"
        "optimizer: {lr: 1.0e-6}\n"
        "eval: {every_steps: 160}\n"
        "checkpoint: {every_steps: 160}\n");
  Train two = train_from("configs/qwen1.5b_2grpo.yaml");
  Train sixteen = train_from("configs/qwen1.5b_16grpo.yaml");
  EXPECT_THAT(
      differences(base::fields_of(two), base::fields_of(sixteen)),
      ElementsAre(Difference{"run.name", "qwen1.5b_2grpo", "qwen1.5b_16grpo"},
                  Difference{"rollout.prompts_per_step", "256", "32"}, Difference{"rollout.group_size", "2", "16"},
                  Difference{"optimizer.lr", "8.0e-6", "1.0e-6"}, Difference{"checkpoint.every_steps", "20", "160"},
                  Difference{"eval.every_steps", "20", "160"}));
}

TEST_F(RunFile, TheResolvedConfigurationReadsBackAsTheSame) {
  Train train = train_from("configs/qwen1.5b_2grpo.yaml", {"optimizer.lr=1e-6", "rollout.group_size=16",
                                                           "reward.terms.0.weight=2", "data.train=[a.jsonl,b.jsonl]"});
  EXPECT_EQ(train.optimizer.lr, 1e-6);
  EXPECT_EQ(train.rollout.group_size, 16);
  EXPECT_EQ(train.reward.terms.at(0).weight, 2.0);
  EXPECT_THAT(train.data.train, ElementsAre("a.jsonl", "b.jsonl"));
  write("config.yaml", to_yaml(base::fields_of(train)));
  Train again = train_from("config.yaml");
  EXPECT_THAT(differences(base::fields_of(train), base::fields_of(again)), testing::IsEmpty());
  EXPECT_EQ(to_yaml(base::fields_of(train)), to_yaml(base::fields_of(again)));
}

TEST_F(RunFile, ATypingErrorNamesFileLineAndNearestKey) {
  std::string text = kTwoGrpo;
  text.replace(text.find("clip_high"), 9, "clip_hgih");
  write("configs/a.yaml", text);
  EXPECT_EQ(error_of([] { train_from("configs/a.yaml"); }),
            "configs/a.yaml:7: algorithm.clip_hgih: unknown key (did you mean clip_high?)");
  EXPECT_EQ(error_of([] { train_from("configs/qwen1.5b_2grpo.yaml", {"optimizer.lrr=1"}); }),
            "command line: optimizer.lrr: unknown key (did you mean lr?)");
}

}  // namespace
}  // namespace grpo::config
