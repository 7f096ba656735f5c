// What the update promises: dead groups may be skipped, and a batch may be split in any way, without changing the gradient.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

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
    auto batch = pairs_of_rollouts(256);
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
  auto batch = pairs_of_rollouts(256);
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

// Counts the operators with which LibTorch brings values to the host.
class HostReads {
 public:
  HostReads() : handle_(at::addGlobalCallback(at::RecordFunctionCallback(&count).scopes({at::RecordScope::FUNCTION}))) { reads = 0; }
  ~HostReads() { at::removeCallback(handle_); }
  HostReads(const HostReads&) = delete;
  HostReads& operator=(const HostReads&) = delete;

  int number() const { return reads; }

 private:
  static std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& function) {
    const std::string name = function.name();
    if (name == "aten::_local_scalar_dense" || name == "aten::nonzero" || name == "aten::equal" || name == "aten::masked_select") ++reads;
    return nullptr;
  }

  static std::atomic<int> reads;
  at::CallbackHandle handle_;
};
std::atomic<int> HostReads::reads = 0;

// What micro-batches measure comes to the host at the end, in one copy, which is none of these. (The optimizer step then reads the
// gradient's norm; its kernel on the CPU also reads each parameter's counter.)
TEST(AccumulateGradient, ReadsNoValueOnTheHostHoweverManyMicroBatches) {
  for (const auto loss : {algo::Loss::kClip, algo::Loss::kGspo}) {
    for (const int64_t tokens : {1 << 20, 17}) {
      auto batch = pairs_of_rollouts(256);
      set_advantages(batch, {});
      auto config = config_with(tokens);
      config.algorithm.policy.loss = loss;
      config.algorithm.entropy_coef = 0.01;
      StepFixture fixture(testing::golden_section("step") / "model", config);
      auto context = fixture.context();
      const HostReads reads;
      EXPECT_GT(accumulate_gradient(context, batch, all_rollouts(batch)).tokens, 0);
      EXPECT_EQ(reads.number(), 0) << tokens;
      EXPECT_TRUE(context.optimizer.step(1).applied);
      EXPECT_GT(reads.number(), 0);  // they are counted
    }
  }
}

TEST(SetAdvantages, ArePlusMinusOneForAPairWithThePopulationStd) {
  auto batch = pairs_of_rollouts(256);
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
