#include "grpo/trainer/train_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "grpo/base/error.h"
#include "grpo/config/config.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/message_of.h"
#include "support/paths.h"
#include "trainer/load_prompts.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TrainConfig load(const fs::path& file, std::vector<std::string> overrides = {}) {
  TrainConfig config;
  config::load(base::fields_of(config), {.file = file, .overrides = std::move(overrides)});
  return config;
}

void expect_refused(const std::vector<std::string>& overrides, const std::string& message) {
  try {
    const auto config = load(grpo::testing::source_dir() / "configs" / "quickstart_2grpo.yaml", overrides);
    validate(config);
    validate_inputs(config);
    FAIL() << "accepted: " << overrides.front();
  } catch (const base::ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr(message));
  }
}

TEST(Validate, RefusesContradictionsNamingTheKeys) {
  expect_refused({"trainer.updates_per_step=3"},
                 "trainer.updates_per_step 3 does not divide rollout.prompts_per_step 64");
  expect_refused({"rollout.group_size=1", "rollout.resample.max_rollouts=64"}, "rollout.group_size 1");
  expect_refused({"data.train=[]"}, "data.train");
  expect_refused({"eval.data=[]"}, "eval.data");
  expect_refused({"rollout.max_total_tokens=20"}, "rollout.max_total_tokens 20");
  expect_refused({"run.name=a/b"}, "run.name");
  for (const std::string key :
       {"data.max_prompt_tokens", "rollout.max_new_tokens", "eval.max_new_tokens", "rollout.max_sequences"})
    expect_refused({key + "=9223372036854775807"}, key + ": expected an integer");
  expect_refused({"data.order=uncertain", "data.shuffle=false"}, "data.shuffle: false");
  expect_refused({"model.path=''"}, "model.path");
  expect_refused({"run.output=/dev/null"}, "run.output /dev/null: is no folder");
  expect_refused({"trainer.stream_update=true", "rollout.exact=true"}, "rollout.exact");
  expect_refused({"trainer.stream_update=true", "trainer.updates_per_step=2"}, "trainer.updates_per_step");
  expect_refused({"trainer.stream_update=true", "trainer.epochs_per_step=2"}, "trainer.epochs_per_step");
  expect_refused({"trainer.stream_update=true", "algorithm.advantage=batch_std"}, "algorithm.advantage: batch_std");
  expect_refused({"trainer.stream_update=true", "algorithm.advantage=reinforce_pp"},
                 "algorithm.advantage: reinforce_pp");
  expect_refused({"trainer.stream_update=true", "distributed.sharding=zero2"}, "distributed.sharding: zero2");
  validate(load(grpo::testing::source_dir() / "configs" / "quickstart_2grpo.yaml", {"trainer.stream_update=true"}));
}

TEST(Validate, RefusesWhatDoesNotGoWithPreferences) {
  for (const char* what : {"algorithm.loss=pair", "algorithm.loss=pair_logistic", "algorithm.method=online_dpo"}) {
    expect_refused({what, "algorithm.kl.coef=0.1"}, "algorithm.kl.coef in the loss");
    expect_refused({what, "algorithm.entropy_coef=0.1"}, "algorithm.entropy_coef");
    expect_refused({what, "rollout.group_size=1"}, "rollout.group_size: 1");
    expect_refused({what, "algorithm.negative_tokens=filtered"}, "algorithm.negative_tokens: filtered");
    validate(load(grpo::testing::source_dir() / "configs" / "quickstart_2grpo.yaml",
                  {what, "trainer.stream_update=true", "algorithm.kl.coef=0"}));
  }
  expect_refused({"algorithm.loss=pair", "rollout.group_size=16"},
                 "algorithm.loss: pair does not go with groups of 16");
  expect_refused({"algorithm.loss=pair", "rollout.adaptive.mode=extend"}, "groups of 16");
  expect_refused({"algorithm.method=dpo", "algorithm.kl.coef=0.1"}, "algorithm.method: dpo does not go with");
  expect_refused({"algorithm.method=dpo", "algorithm.kl.sync_every=5"}, "algorithm.kl.sync_every");
  expect_refused({"algorithm.method=dpo", "trainer.stream_update=true"}, "algorithm.method: dpo");
  expect_refused({"algorithm.method=dpo", "data.order=uncertain"}, "algorithm.method: dpo");
  expect_refused({"algorithm.method=dpo", "algorithm.dpo.kind=ipo", "algorithm.dpo.label_smoothing=0.1"},
                 "algorithm.dpo.label_smoothing");
}

// It is refused under every key, since no token could be sampled.
TEST(Validate, RefusesWhatWouldDoNothing) {
  expect_refused({"algorithm.kl.sync_every=5"}, "algorithm.kl.sync_every has no effect without algorithm.kl.coef");
  expect_refused({"rollout.adaptive.max_rollouts=512"}, "rollout.adaptive.max_rollouts has no effect");
  for (const char* mode : {"off", "predict"}) {
    expect_refused({base::concat("rollout.adaptive.mode=", mode), "rollout.adaptive.advantage_from=last_extension"},
                   "rollout.adaptive.advantage_from: last_extension has no effect");
  }
  for (const char* name : {"eval/heldout/mean@4", "time/eval"}) {
    expect_refused({"eval.every_steps=0", base::concat("checkpoint.keep_best=", name)},
                   base::concat("checkpoint.keep_best ", name, " has no effect without evaluations"));
    expect_refused({"eval.every_steps=0", base::concat("trainer.stop_on={metric: ", name, ", at_least: 1}")},
                   base::concat("trainer.stop_on.metric ", name, " has no effect without evaluations"));
  }
  for (const std::string method : {"sft", "dpo"}) {
    for (const std::string what : {"rollout.adaptive.mode=extend", "rollout.resample.max_rollouts=256",
                                   "rollout.overlong.buffer=4", "algorithm.truncated=mask", "data.order=uncertain"}) {
      expect_refused({"algorithm.method=" + method, what}, what.substr(0, what.find('=')));
      expect_refused({"algorithm.method=" + method, what}, " has no effect with algorithm.method: " + method);
    }
  }
  expect_refused({"algorithm.method=sft", "algorithm.negative_tokens=filtered"}, "algorithm.negative_tokens: filtered");
}

TEST(Validate, RefusesATermThatHasTheNameOfThePenalty) {
  const std::string terms = "reward.terms=[{type: math, name: overlong}]";
  expect_refused({terms, "rollout.overlong.buffer=4"}, "cannot be called overlong");
  validate(load(grpo::testing::source_dir() / "configs" / "quickstart_2grpo.yaml", {terms}));
}

TEST(ResolvePaths, FindsTheHomeFolderOfTheRunsToo) {
  setenv("HOME", "/home/of/mine", 1);
  auto config = load(grpo::testing::source_dir() / "configs" / "quickstart_2grpo.yaml", {"run.output=~/runs"});
  resolve_paths(config, grpo::testing::source_dir() / "configs");
  EXPECT_EQ(config.run.output, "/home/of/mine/runs");
  config.run.output = "not_there_yet";
  resolve_paths(config, grpo::testing::source_dir() / "configs");
  EXPECT_EQ(config.run.output, "not_there_yet");
}

TEST(Validate, RefusesATopPOfZero) {
  for (const char* key : {"rollout.top_p", "eval.top_p"}) {
    try {
      load(grpo::testing::source_dir() / "configs" / "quickstart_2grpo.yaml", {std::string(key) + "=0"});
      FAIL() << "accepted: " << key;
    } catch (const base::ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("expected a number in (0, 1]"));
    }
  }
}

TEST(TrainConfig, NamesTheNearestDtypeAndDevice) {
  const auto message = [](const std::string& override) {
    return testing::message_of<base::ConfigError>(
        [&] { load(testing::source_dir() / "configs" / "quickstart_2grpo.yaml", {override}); });
  };
  EXPECT_THAT(message("model.dtype=float23"), HasSubstr("model.dtype: unknown value float23 (did you mean float32?)"));
  EXPECT_THAT(message("model.device=gpu"), HasSubstr("model.device: unknown value gpu"));
}

// Before it had other keys, trainer.stop_on was a list of signs. It may still be one.
TEST(TrainConfig, ReadsSignsOfDivergenceWithoutTheirKeyToo) {
  const auto stop_on = [](const std::string& value) {
    return load(testing::source_dir() / "configs" / "quickstart_2grpo.yaml", {"trainer.stop_on=" + value})
        .trainer.stop_on;
  };
  EXPECT_THAT(stop_on("[ratio, non_finite]").signs, ::testing::ElementsAre("ratio", "non_finite"));
  EXPECT_THAT(stop_on("ratio").signs, ::testing::ElementsAre("ratio"));
  const auto goal = stop_on("{metric: accuracy, at_least: 0.9}");
  EXPECT_EQ(goal.metric, "accuracy");
  EXPECT_EQ(goal.at_least, 0.9);
  EXPECT_THAT(goal.signs, ::testing::ElementsAre("non_finite"));
}

TEST(TrainConfig, IsDocumentedAsItIs) {
  TrainConfig config;
  EXPECT_EQ(io::read_file(grpo::testing::source_dir() / "docs" / "config.md"),
            config::to_markdown(base::fields_of(config)))
      << "run: build/bin/grpo-train --help-config --markdown > docs/config.md";
}

TEST(TrainConfig, ComesBackFromItsOwnYaml) {
  auto config = load(grpo::testing::source_dir() / "configs" / "quickstart_16grpo.yaml", {"optimizer.lr=3e-5"});
  testing::TempDir dir;
  io::write_file_atomic(dir.path() / "config.yaml", config::to_yaml(base::fields_of(config)));
  auto again = load(dir.path() / "config.yaml");
  EXPECT_TRUE(config::differences(base::fields_of(config), base::fields_of(again)).empty());
  TrainConfig fresh;
  EXPECT_FALSE(config::differences(base::fields_of(config), base::fields_of(fresh)).empty());
}

}  // namespace
}  // namespace grpo::trainer
