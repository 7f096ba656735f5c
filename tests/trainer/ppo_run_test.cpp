// Method ppo from start to end: advantages of tokens, the critic beside the policy, resume, and every key of its
// section.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "support/message_of.h"
#include "trainer/run.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Key;

class PpoRun : public TinyRuns {
 protected:
  TrainConfig ppo(const std::string& name) const {
    auto made = config(name);
    made.algorithm.method = MethodKind::kPpo;
    made.algorithm.ppo.critic_lr = 1e-3;
    made.rollout.group_size = 1;
    made.rollout.prompts_per_step = 16;
    return made;
  }
};

TEST_F(PpoRun, TheCriticLearnsWhatRewardIsToBeExpected) {
  auto made = ppo("run");
  made.trainer.steps = 40;
  made.optimizer.lr = 0.0;  // the policy does not change, so that the critic can learn its returns
  run(made);
  const auto explained = measures("run", "value/explained_variance");
  ASSERT_EQ(explained.size(), 40U);
  EXPECT_EQ(explained.front(), 0.0);  // the critic's head begins as zeros
  double late = 0.0;
  for (size_t i = 30; i < 40; ++i) late += explained[i] / 10.0;
  EXPECT_GT(late, 0.1);
  EXPECT_THAT(measures("run", "value/lr"), Contains(1e-3));
}

// The policy's micro-batches must be the same on all ranks where its optimizer is split. The critic's need not be.
TEST_F(PpoRun, WhereMemoryRunsOutForTheCriticThePolicyKeepsItsMicroBatches) {
  const auto made = ppo("run");
  const auto communicator = dist::make_communicator({.backend = dist::Backend::kSingle});
  const auto assembled = assemble(made, {}, *communicator);
  const int64_t before = assembled->learner().budget.tokens();
  EXPECT_EQ(assembled->critic_learner()->budget.tokens(), before);
  assembled->critic_learner()->budget.shrink(
      {.where = "step 1, critic", .error = "out of memory", .sequences = 4, .tokens = 100});
  EXPECT_EQ(assembled->critic_learner()->budget.tokens(), 50);
  EXPECT_EQ(assembled->learner().budget.tokens(), before);
}

// Where every value is 0 and nothing is discounted, each token's advantage is the completion's reward.
TEST_F(PpoRun, WithoutValuesEveryTokenHasTheReward) {
  auto made = ppo("run");
  made.algorithm.ppo = {.gamma = 1.0, .lambda = 1.0, .normalise = false, .critic_lr = 0.0};
  run(made);
  for (const auto& row : rollouts("run", 3)) {
    EXPECT_EQ(row.at("advantage"), row.at("reward"));
    EXPECT_THAT(row.at("values").get<std::vector<double>>(), Each(0.0));
  }
  EXPECT_THAT(measures("run", "value/explained_variance"), Each(0.0));
}

TEST_F(PpoRun, NormalisedAdvantagesHaveMeanZeroAndDeviationOneOverTheStepsTokens) {
  run(ppo("run"));
  double count = 0.0, sum = 0.0, squares = 0.0;
  for (const auto& row : rollouts("run", 4)) {
    for (const double advantage : row.at("token_advantages").get<std::vector<double>>()) {
      count += 1.0;
      sum += advantage;
      squares += advantage * advantage;
    }
  }
  EXPECT_NEAR(sum / count, 0.0, 1e-6);
  EXPECT_NEAR(squares / count, 1.0, 1e-4);
}

TEST_F(PpoRun, GoesOnAfterACheckpointAsIfNothingHadHappened) {
  auto made = ppo("whole");
  made.trainer.updates_per_step = 2;
  made.trainer.epochs_per_step = 2;
  made.algorithm.kl = {.coef = 0.05, .in = KlIn::kReward};
  run(made);
  made.run.output = (dir_.path() / "parts").string();
  made.trainer.steps = 4;
  run(made, "auto");
  made.trainer.steps = 6;
  run(made, "auto");
  expect_equal_runs(folder("whole"), folder("parts"));
  const auto whole = files_below(folder("whole") / "checkpoints" / "step_00000006" / "critic");
  EXPECT_EQ(whole, files_below(folder("parts") / "checkpoints" / "step_00000006" / "critic"));
  EXPECT_THAT(whole, Contains(Key("model/model.safetensors")));
  EXPECT_THAT(measures("whole", "kl/reference"), Contains(::testing::Gt(0.0)));
}

TEST_F(PpoRun, BeginsWithTheCriticThatIsNamed) {
  run(ppo("first"));
  auto made = ppo("second");
  made.algorithm.ppo.critic = (folder("first") / "checkpoints" / "step_00000006" / "critic" / "model").string();
  run(made);
  EXPECT_EQ(measures("first", "value/mean").front(), 0.0);
  EXPECT_NE(measures("second", "value/mean").front(), 0.0);
}

TEST_F(PpoRun, RefusesACriticThatDoesNotKnowThePolicysIds) {
  auto made = ppo("run");
  auto shape = models::read_model_config(made.model.path);
  shape.vocab_size = 5;
  made.algorithm.ppo.critic = (dir_.path() / "critic").string();
  models::CausalLM::init(shape, 1, at::kFloat, at::kCPU)->save(made.algorithm.ppo.critic, {});
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(made, {.resume = "never", .config_folder = ""}); }),
              HasSubstr("has a vocabulary of 5, and the policy's texts have 17 ids"));
}

// The first update moves the critic's head, which was zeros, and nothing else of it: values are then large numbers, and
// what flows back from them through the head is infinite.
TEST_F(PpoRun, ACriticWhoseGradientIsNotFiniteIsWatchedAsThePolicyIs) {
  auto made = ppo("ruined");
  made.algorithm.ppo.critic_lr = 1e18;
  made.optimizer.warmup_updates = 0;
  made.trainer.steps = 12;
  made.trainer.stop_on.signs = {"non_finite"};
  EXPECT_THAT(testing::message_of<base::Error>([&] { run(made); }),
              HasSubstr("step 6: the critic: the gradient was not finite in 5 updates in a row, since step 2"));
}

TEST_F(PpoRun, EveryKeyChangesTheOutcome) {
  run(ppo("as it is"));
  const auto expected = comparable_metrics(folder("as it is"));
  const std::vector<std::pair<std::string, std::function<void(PpoConfig&)>>> changes = {
      {"gamma", [](PpoConfig& c) { c.gamma = 0.5; }},
      {"lambda", [](PpoConfig& c) { c.lambda = 0.5; }},
      {"value_clip", [](PpoConfig& c) { c.value_clip = 1e-4; }},
      {"normalise", [](PpoConfig& c) { c.normalise = false; }},
      {"critic_lr", [](PpoConfig& c) { c.critic_lr = std::nullopt; }}};
  for (const auto& [key, change] : changes) {
    auto made = ppo(key);
    if (key == "value_clip" || key == "critic_lr") made.trainer.epochs_per_step = 2;  // a first update moves no value
    if (key == "critic_lr") made.optimizer.lr = 5e-4;
    const auto before = made;
    change(made.algorithm.ppo);
    run(made);
    if (made.trainer.epochs_per_step == 1) {
      EXPECT_NE(comparable_metrics(folder(key)), expected) << key;
      continue;
    }
    auto same = before;
    same.run.output = (dir_.path() / (key + " before")).string();
    run(same);
    EXPECT_NE(comparable_metrics(folder(key)), comparable_metrics(folder(key + " before"))) << key;
  }
}

TEST_F(PpoRun, WhatDoesNotGoWithItIsRefused) {
  const auto refused = [this](const std::function<void(TrainConfig&)>& change) {
    auto made = ppo("refused");
    change(made);
    return testing::message_of<base::ConfigError>([&] { validate(made); });
  };
  EXPECT_THAT(refused([](TrainConfig& c) { c.algorithm.policy.loss = algo::Loss::kGspo; }),
              HasSubstr("algorithm.loss"));
  EXPECT_THAT(refused([](TrainConfig& c) { c.algorithm.policy.loss = algo::Loss::kPair; }),
              HasSubstr("algorithm.loss"));
  EXPECT_THAT(refused([](TrainConfig& c) { c.rollout.resample.max_rollouts = 64; }), HasSubstr("resample"));
  EXPECT_THAT(refused([](TrainConfig& c) { c.rollout.adaptive.mode = AdaptiveMode::kPredict; }), HasSubstr("adaptive"));
  EXPECT_THAT(refused([](TrainConfig& c) { c.trainer.stream_update = true; }), HasSubstr("stream_update"));
  EXPECT_THAT(refused([](TrainConfig& c) { c.algorithm.negative_tokens = NegativeTokens::kFiltered; }),
              HasSubstr("negative_tokens"));
}

}  // namespace
}  // namespace grpo::trainer
