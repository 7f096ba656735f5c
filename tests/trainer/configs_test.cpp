// The files of configs/: each one loads, is free of contradictions and can be planned; the paper's pairs differ as the
// paper says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/config/config.h"
#include "grpo/io/json.h"
#include "grpo/models/model_config.h"
#include "grpo/trainer/train.h"
#include "grpo/trainer/train_config.h"
#include "support/golden.h"
#include "support/paths.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kFolder = grpo::testing::source_dir() / "configs";

TrainConfig load(const fs::path& file) {
  TrainConfig config;
  config::load(base::fields_of(config), {.file = file, .overrides = {}});
  return config;
}

std::vector<fs::path> config_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  return files;
}

models::ModelConfig shape(std::string type, int64_t hidden, int64_t intermediate, int64_t layers, int64_t heads,
                          int64_t kv_heads, int64_t vocabulary, bool tied) {
  models::ModelConfig model;
  model.qkv_bias = type == "qwen2";
  model.model_type = std::move(type);
  model.hidden_size = hidden;
  model.intermediate_size = intermediate;
  model.num_layers = layers;
  model.num_heads = heads;
  model.num_kv_heads = kv_heads;
  model.head_dim = hidden / heads;
  model.vocab_size = vocabulary;
  model.max_positions = 4096;
  model.tied_embeddings = tied;
  return model;
}

// The published shapes; a plan reads config.json and no weights.
void write_models(const fs::path& folder) {
  const std::vector<std::pair<std::string, models::ModelConfig>> models = {
      {"Qwen2.5-Math-1.5B", shape("qwen2", 1536, 8960, 28, 12, 2, 151936, true)},
      {"Qwen2.5-Math-7B", shape("qwen2", 3584, 18944, 28, 28, 4, 152064, false)},
      {"DeepSeek-R1-Distill-Qwen-1.5B", shape("qwen2", 1536, 8960, 28, 12, 2, 151936, false)},
      {"SmolLM2-135M-Instruct", shape("llama", 576, 1536, 30, 9, 3, 49152, true)}};
  for (const auto& [name, model] : models) {
    fs::create_directories(folder / name);
    io::write_json(folder / name / "config.json", models::to_json(model, "bfloat16"), 1);
  }
}

void write_problems(const fs::path& file, int count) {
  io::JsonlWriter writer(file.string());
  for (int i = 0; i < count; ++i)
    writer.write(nlohmann::json{{"problem", file.stem().string() + std::to_string(i)}, {"answer", "1"}});
}

// A folder with what the configurations name: models/ and data/.
class Configs : public ::testing::Test {
 protected:
  void SetUp() override {
    write_models(dir_.path() / "models");
    fs::create_directories(dir_.path() / "data");
    write_problems(dir_.path() / "data" / "math_train.jsonl", 7500);
    write_problems(dir_.path() / "data" / "dapo_math_sub.jsonl", 7500);
    write_problems(dir_.path() / "data" / "math500.jsonl", 500);
  }

  std::string plan(const fs::path& file) {
    TrainConfig config = load(file);
    validate(config);
    if (config.model.path.rfind("models/", 0) == 0) config.model.path = (dir_.path() / config.model.path).string();
    const auto find = [&](std::vector<std::string>& files) {
      for (auto& name : files) {
        if (name.rfind("data/", 0) == 0) name = (dir_.path() / name).string();
      }
    };
    for (auto& set : config.data.train) find(set.path);
    find(config.eval.data);
    return describe_plan(config, {.config_folder = kFolder.string()}, 4, 140.0);
  }

  testing::TempDir dir_;
};

TEST_F(Configs, AreAllPlanned) {
  int count = 0;
  for (const auto& file : config_files()) {
    ++count;
    std::string text;
    EXPECT_NO_THROW(text = plan(file)) << file;
    EXPECT_THAT(text, HasSubstr("rollouts in all")) << file;
    EXPECT_THAT(text, HasSubstr("peak: rollout")) << file;
  }
  EXPECT_GE(count, 24);
}

// 10 epochs of 7,500 problems, and Qwen's published parameter counts.
TEST_F(Configs, ThePaperRowsArePlannedAsThePaperCounts) {
  const auto two = plan(kFolder / "qwen1.5b_2grpo.yaml");
  EXPECT_THAT(
      two, HasSubstr("256 prompts x 2 completions = 512 rollouts a step; 1 update a step of 256 prompts; 292 steps"));
  EXPECT_THAT(two, HasSubstr("1543714304 parameters"));
  EXPECT_THAT(two, HasSubstr("on-policy: one update a step"));
  EXPECT_THAT(two, HasSubstr("can exceed the model's 4096 positions"));
  const auto sixteen = plan(kFolder / "qwen7b_dapo_16grpo_paper.yaml");
  EXPECT_THAT(
      sixteen,
      HasSubstr("512 prompts x 16 completions = 8192 rollouts a step; 16 updates a step of 32 prompts; 146 steps"));
  EXPECT_THAT(sixteen, HasSubstr("7615616512 parameters"));
  EXPECT_THAT(sixteen, HasSubstr("off-policy after the first update"));
  EXPECT_THAT(plan(kFolder / "r1distill1.5b_2grpo.yaml"), HasSubstr("4194304 sampled a step (8192 a completion)"));
}

TEST(PaperPairs, QuickstartTakesTheSameRolloutsAStep) {
  const auto two = load(kFolder / "quickstart_2grpo.yaml");
  const auto sixteen = load(kFolder / "quickstart_16grpo.yaml");
  EXPECT_EQ(two.rollout.group_size, 2);
  EXPECT_EQ(sixteen.rollout.group_size, 16);
  EXPECT_EQ(two.rollout.prompts_per_step * 2, sixteen.rollout.prompts_per_step * 16);
  EXPECT_EQ(two.optimizer.lr, sixteen.optimizer.lr);
}

// Section 7 of the paper (arXiv 2510.00977): both arms see 512 rollouts an update.
TEST(PaperPairs, TakeTheSameRolloutsAnUpdate) {
  for (const std::string row : {"qwen1.5b", "qwen7b", "qwen1.5b_dapo", "qwen7b_dapo", "r1distill1.5b"}) {
    for (const std::string kind : {"", "_paper"}) {
      const auto two = load(kFolder / (row + "_2grpo" + kind + ".yaml"));
      const auto sixteen = load(kFolder / (row + "_16grpo" + kind + ".yaml"));
      for (const auto* config : {&two, &sixteen}) {
        const auto& rollout = config->rollout;
        EXPECT_EQ(rollout.prompts_per_step * rollout.group_size / config->trainer.updates_per_step, 512) << row << kind;
        EXPECT_EQ(config->run.name, row + (config == &two ? "_2grpo" : "_16grpo") + kind);
      }
      EXPECT_DOUBLE_EQ(two.optimizer.lr, 8e-6);
      EXPECT_DOUBLE_EQ(sixteen.optimizer.lr, 1e-6);
      EXPECT_EQ(two.model.path, sixteen.model.path);
      EXPECT_EQ(two.data.train, sixteen.data.train);
      EXPECT_EQ(two.rollout.max_new_tokens, row == "r1distill1.5b" ? 8192 : 4096);
      EXPECT_EQ(sixteen.rollout.max_new_tokens, two.rollout.max_new_tokens);
      // Both evaluate after the same number of prompts.
      EXPECT_EQ(two.eval.every_steps * two.rollout.prompts_per_step,
                sixteen.eval.every_steps * sixteen.rollout.prompts_per_step);
    }
  }
}

TEST(PaperPairs, RefillIsTheSecondArmWithFreshPromptsForTiedGroups) {
  for (const std::string row : {"qwen1.5b", "qwen7b", "qwen1.5b_dapo", "qwen7b_dapo", "quickstart"}) {
    auto plain = load(kFolder / (row + "_2grpo.yaml")), refill = load(kFolder / (row + "_2grpo_rs.yaml"));
    EXPECT_EQ(refill.rollout.resample.max_rollouts, 4 * plain.rollout.prompts_per_step * plain.rollout.group_size);
    EXPECT_EQ(config::differences(base::fields_of(plain), base::fields_of(refill)).size(), 2u);  // that and run.name
  }
}

}  // namespace
}  // namespace grpo::trainer
