// What the update promises: dead groups may be skipped, and a batch may be split in any way, without changing the gradient.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "grpo/base/random.h"
#include "support/golden.h"
#include "trainer/step_fixture.h"

namespace grpo::trainer {
namespace {

TrainConfig config_with(int64_t micro_batch_tokens) {
  TrainConfig config;
  config.reward.terms = {reward::RewardTerm{}};
  config.trainer.micro_batch_tokens = micro_batch_tokens;
  config.rollout.max_new_tokens = 12;
  return config;
}

// Six prompts with groups of two; the second and fifth are tied. Lengths differ.
RolloutBatch make_batch(int64_t vocabulary) {
  const base::RandomKey key{11, base::stream_id("update test")};
  RolloutBatch batch;
  batch.group_offsets = {0};
  for (uint64_t q = 0; q < 6; ++q) {
    Prompt prompt;
    for (uint32_t t = 0; t < 3 + q; ++t) {
      prompt.ids.push_back(static_cast<int64_t>(base::uniform_below(key, q, t, static_cast<uint64_t>(vocabulary))));
    }
    batch.prompts.push_back(prompt);
    for (uint64_t g = 0; g < 2; ++g) {
      Rollout rollout;
      rollout.prompt = q;
      rollout.sample = static_cast<int64_t>(g);
      for (uint32_t t = 0; t < 1 + (5 * q + 7 * g) % 12; ++t) {
        rollout.completion.ids.push_back(static_cast<int64_t>(
            base::uniform_below(key, 100 + 2 * q + g, t, static_cast<uint64_t>(vocabulary))));
        rollout.completion.log_probs.push_back(-1.0f);
      }
      const bool tied = q == 1 || q == 4;
      rollout.score.reward = tied ? 1.0 : static_cast<double>(g);
      batch.rollouts.push_back(rollout);
    }
    batch.group_offsets.push_back(static_cast<int64_t>(batch.rollouts.size()));
  }
  return batch;
}

class Update : public ::testing::TestWithParam<algo::Aggregation> {
 protected:
  models::NamedTensors gradient(TrainConfig config, RolloutBatch batch, UpdateStats* stats = nullptr) {
    config.algorithm.aggregation = GetParam();
    StepFixture fixture(testing::golden_section("step") / "model", config);
    auto context = fixture.context();
    const auto result = accumulate_gradient(context, batch, all_rollouts(batch));
    if (stats != nullptr) *stats = result;
    return fixture.take_gradients();
  }

  RolloutBatch batch_ = [] {
    auto batch = make_batch(256);
    set_advantages(batch, {});
    return batch;
  }();
};

TEST_P(Update, GradientDoesNotDependOnTheSplitIntoMicroBatches) {
  UpdateStats one;
  UpdateStats many;
  const auto whole = gradient(config_with(1 << 20), batch_, &one);
  for (const int64_t tokens : {1, 17, 40}) {
    EXPECT_LE(max_difference(whole, gradient(config_with(tokens), batch_, &many)), 2e-6) << tokens;
    EXPECT_NEAR(one.loss, many.loss, 1e-6);
    EXPECT_NEAR(one.entropy, many.entropy, 1e-6);
    EXPECT_EQ(one.tokens, many.tokens);
  }
}

// A tiny entropy coefficient sends every rollout through the model; its own gradient is far below the tolerance.
TEST_P(Update, SkippingDeadGroupsLeavesTheGradientUnchanged) {
  UpdateStats skipped;
  UpdateStats run;
  auto config = config_with(1 << 20);
  const auto live_only = gradient(config, batch_, &skipped);
  config.algorithm.entropy_coef = 1e-12;
  const auto all = gradient(config, batch_, &run);
  EXPECT_LT(skipped.tokens, run.tokens);
  // Equal to fp32 rounding: the sums have other zeros among them, and gradients here are of order one.
  EXPECT_LE(max_difference(live_only, all), 1e-6);
}

TEST_P(Update, LiveDenominatorLeavesDeadGroupsOut) {
  auto config = config_with(1 << 20);
  const auto all = gradient(config, batch_);
  config.algorithm.denominator = algo::DenominatorScope::kLive;
  const auto live = gradient(config, batch_);
  EXPECT_GT(max_difference(all, live), 1e-6);
  RolloutBatch only_live;
  only_live.group_offsets = {0};
  for (const size_t q : {0, 2, 3, 5}) {
    only_live.prompts.push_back(batch_.prompts[q]);
    for (size_t g = 0; g < 2; ++g) {
      only_live.rollouts.push_back(batch_.rollouts[2 * q + g]);
      only_live.rollouts.back().prompt = only_live.prompts.size() - 1;
    }
    only_live.group_offsets.push_back(static_cast<int64_t>(only_live.rollouts.size()));
  }
  config.algorithm.denominator = algo::DenominatorScope::kAll;
  EXPECT_LE(max_difference(live, gradient(config, only_live)), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Aggregations, Update,
                         ::testing::Values(algo::Aggregation::kTokenMean, algo::Aggregation::kSeqMeanTokenMean,
                                           algo::Aggregation::kSeqMeanTokenSum, algo::Aggregation::kSeqMeanTokenSumNorm));

TEST(UpdatePolicy, MakesNoUpdateWhenNoGroupIsLive) {
  auto batch = make_batch(256);
  for (auto& rollout : batch.rollouts) rollout.score.reward = 1.0;
  set_advantages(batch, {});
  StepFixture fixture(testing::golden_section("step") / "model", config_with(1 << 20));
  auto context = fixture.context();
  const auto before = fixture.policy().model->parameters().front().second.detach().clone();
  const auto stats = update_policy(context, batch, all_rollouts(batch));
  EXPECT_FALSE(stats.applied);
  EXPECT_EQ(stats.grad_norm, 0.0);
  EXPECT_EQ(stats.loss, 0.0);
  EXPECT_TRUE(before.equal(fixture.policy().model->parameters().front().second.detach()));
  EXPECT_EQ(context.optimizer.updates(), 0);
}

TEST(SetAdvantages, ArePlusMinusOneForAPairWithThePopulationStd) {
  auto batch = make_batch(256);
  set_advantages(batch, {});
  for (const auto& rollout : batch.rollouts) {
    const bool tied = rollout.prompt == 1 || rollout.prompt == 4;
    // 0.5 / (0.5 + 1e-6): one up to the eps of the formula.
    EXPECT_NEAR(rollout.advantage, tied ? 0.0 : (rollout.sample == 1 ? 1.0 : -1.0), 2.1e-6);
    EXPECT_EQ(rollout.advantage == 0.0, tied);
  }
}

}  // namespace
}  // namespace grpo::trainer
