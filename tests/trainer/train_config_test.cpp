#include "grpo/trainer/train_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpo/base/error.h"
#include "grpo/config/config.h"
#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TrainConfig load(const fs::path& file, std::vector<std::string> overrides = {}) {
  TrainConfig config;
  config::load(base::fields_of(config), {.file = file, .overrides = std::move(overrides)});
  return config;
}

TEST(Configs, AllLoadAndHoldTogether) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(GRPO_SOURCE_DIR) / "configs")) {
    if (entry.path().extension() != ".yaml") continue;
    ++count;
    EXPECT_NO_THROW(validate(load(entry.path()))) << entry.path();
  }
  EXPECT_GE(count, 3);
}

TEST(Configs, TheQuickstartPairTakesTheSameRolloutsAStep) {
  const fs::path folder = fs::path(GRPO_SOURCE_DIR) / "configs";
  const auto two = load(folder / "quickstart_2grpo.yaml");
  const auto sixteen = load(folder / "quickstart_16grpo.yaml");
  EXPECT_EQ(two.rollout.group_size, 2);
  EXPECT_EQ(sixteen.rollout.group_size, 16);
  EXPECT_EQ(two.rollout.prompts_per_step * 2, sixteen.rollout.prompts_per_step * 16);
  EXPECT_EQ(two.optimizer.lr, sixteen.optimizer.lr);
}

// Section 7 of the paper (arXiv 2510.00977): both arms see 512 rollouts an update.
TEST(Configs, ThePaperPairsTakeTheSameRolloutsAnUpdate) {
  const fs::path folder = fs::path(GRPO_SOURCE_DIR) / "configs";
  for (const std::string size : {"qwen1.5b", "qwen7b"}) {
    for (const std::string kind : {"", "_paper"}) {
      const auto two = load(folder / (size + "_2grpo" + kind + ".yaml"));
      const auto sixteen = load(folder / (size + "_16grpo" + kind + ".yaml"));
      for (const auto* config : {&two, &sixteen}) {
        const auto& rollout = config->rollout;
        EXPECT_EQ(rollout.prompts_per_step * rollout.group_size / config->trainer.updates_per_step, 512);
        EXPECT_EQ(config->run.name.rfind(size, 0), 0u);
      }
      EXPECT_DOUBLE_EQ(two.optimizer.lr, 8e-6);
      EXPECT_DOUBLE_EQ(sixteen.optimizer.lr, 1e-6);
      EXPECT_EQ(two.model.path, sixteen.model.path);
      // Equally many prompts between evaluations.
      EXPECT_EQ(two.eval.every_steps * two.rollout.prompts_per_step, sixteen.eval.every_steps * sixteen.rollout.prompts_per_step);
    }
  }
}

void expect_refused(const std::vector<std::string>& overrides, const std::string& message) {
  try {
    validate(load(fs::path(GRPO_SOURCE_DIR) / "configs" / "quickstart_2grpo.yaml", overrides));
    FAIL() << "accepted: " << overrides.front();
  } catch (const base::ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr(message));
  }
}

TEST(Validate, RefusesContradictionsNamingTheKeys) {
  expect_refused({"trainer.updates_per_step=3"}, "trainer.updates_per_step 3 does not divide rollout.prompts_per_step 64");
  expect_refused({"rollout.group_size=1"}, "rollout.group_size 1");
  expect_refused({"data.train=[]"}, "data.train");
  expect_refused({"eval.data=[]"}, "eval.data");
  expect_refused({"rollout.max_total_tokens=20"}, "rollout.max_total_tokens 20");
  expect_refused({"run.name=a/b"}, "run.name");
}

TEST(TrainConfig, IsDocumentedAsItIs) {
  TrainConfig config;
  EXPECT_EQ(io::read_file(fs::path(GRPO_SOURCE_DIR) / "docs" / "config.md"), config::to_markdown(base::fields_of(config)))
      << "run: build/bin/grpo-train --help-config --markdown > docs/config.md";
}

TEST(TrainConfig, ComesBackFromItsOwnYaml) {
  auto config = load(fs::path(GRPO_SOURCE_DIR) / "configs" / "quickstart_16grpo.yaml", {"optimizer.lr=3e-5"});
  testing::TempDir dir;
  io::write_file_atomic(dir.path() / "config.yaml", config::to_yaml(base::fields_of(config)));
  auto again = load(dir.path() / "config.yaml");
  EXPECT_TRUE(config::differences(base::fields_of(config), base::fields_of(again)).empty());
  TrainConfig fresh;
  EXPECT_FALSE(config::differences(base::fields_of(config), base::fields_of(fresh)).empty());
}

}  // namespace
}  // namespace grpo::trainer
