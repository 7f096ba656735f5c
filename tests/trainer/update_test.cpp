// The promises of the update: to skip dead groups or to split a batch in any way does not change the gradient.
#include <ATen/TensorOperators.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>

#include <atomic>
#include <memory>
#include <string>

#include "grpo/optim/optimizer.h"
#include "support/golden.h"
#include "support/thread_ranks.h"
#include "trainer/live_rollouts.h"
#include "trainer/step_fixture.h"
#include "trainer/step_stats.h"

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
    const auto result = fixture.accumulate(batch);
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
    EXPECT_NEAR(one.figure("loss"), many.figure("loss"), 1e-6);
    EXPECT_NEAR(one.figure("entropy"), many.figure("entropy"), 1e-6);
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
  // They are equal up to fp32 rounding: the sums have other zeros among them. Gradients are about 1 here.
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
                                           algo::Aggregation::kSeqMeanTokenSum,
                                           algo::Aggregation::kSeqMeanTokenSumNorm));

TEST(UpdatePolicy, MakesNoUpdateWhenNoGroupIsLive) {
  auto batch = pairs_of_rollouts(256);
  for (auto& rollout : batch.rollouts) rollout.score.reward = 1.0;
  set_advantages(batch, {});
  StepFixture fixture(testing::golden_section("step") / "model", config_with(1 << 20));
  const auto before = fixture.policy().model->parameters().front().second.detach().clone();
  const auto stats = fixture.update(batch);
  EXPECT_FALSE(stats.applied);
  EXPECT_EQ(stats.grad_norm, 0.0);
  EXPECT_EQ(stats.figure("loss"), 0.0);
  EXPECT_TRUE(before.equal(fixture.policy().model->parameters().front().second.detach()));
  EXPECT_EQ(fixture.context().learner.optimizer.updates(), 0);
}

// A reward that is not known does not count as 0: the completion is not trained, and the mean of its group is without
// it.
TEST(FailedRewards, AreLeftOutOfGroupsLossAndMeans) {
  RolloutBatch batch;
  batch.prompts.resize(1);
  for (const double reward : {1.0, 0.0, 0.0}) {
    Rollout rollout;
    rollout.completion = {.ids = {5, 6}, .log_probs = {-1.0f, -1.0f}};
    rollout.score.reward = reward;
    batch.rollouts.push_back(rollout);
  }
  batch.rollouts[2].score.failure = "regex: too many steps";
  batch.group_offsets = {0, 3};
  set_advantages(batch, {.kind = algo::Advantage::kDrGrpo});
  EXPECT_EQ(batch.rollouts[0].advantage, 0.5);
  EXPECT_EQ(batch.rollouts[1].advantage, -0.5);
  EXPECT_EQ(batch.rollouts[2].advantage, 0.0);
  auto config = config_with(1 << 20);
  config.algorithm.kl.coef = 0.1;  // with KL, tied completions train too
  EXPECT_THAT(live_rollouts(config, batch, {0, 1, 2}), ::testing::ElementsAre(0, 1));
  EXPECT_EQ(loss_scale(config, batch, {0, 1, 2}), 1.0 / 4.0);
  StepStats stats;
  count_rollouts(batch, stats);
  EXPECT_EQ(stats.reward_mean, 0.5);
  EXPECT_EQ(stats.reward_std, 0.5);
  EXPECT_EQ(stats.rewards_failed, 1);
}

// A completion whose reward is not known is neither wrong nor without an answer.
TEST(FailedRewards, AreLeftOutOfAccuracyVerdictsAndGroups) {
  using Kind = verifier::Verdict::Kind;
  RolloutBatch batch;
  batch.prompts.resize(3);
  batch.group_offsets = {0, 2, 4, 6};
  for (const Kind kind :
       {Kind::kRight, Kind::kUnparsable, Kind::kWrong, Kind::kUnparsable, Kind::kUnparsable, Kind::kUnparsable}) {
    batch.rollouts.emplace_back().score.verdict.kind = kind;
  }
  for (const size_t i : {1, 3, 4, 5}) batch.rollouts[i].score.failure = "command: it died";
  StepStats stats;
  count_rollouts(batch, stats);
  EXPECT_EQ(stats.accuracy, 0.5);
  EXPECT_EQ(stats.unparsable, 0);
  count_groups({.prompts_per_step = 3}, batch, stats);
  EXPECT_EQ(stats.groups_dead_right, 1);
  EXPECT_EQ(stats.groups_dead_wrong, 2);
  EXPECT_EQ(judged_of(batch, 0).all, 1);
  EXPECT_EQ(judged_of(batch, 2).all, 0);
}

// A goal of accuracy 1 is reached, and rewards that are all equal are noticed, at any number of rollouts. A share such
// as 1 / 10 is rounded, so ten of them are not 1.
TEST(StepStats, AreExactWhereAllRolloutsAreAlike) {
  for (const int rollouts : {6, 10, 24, 96}) {
    RolloutBatch batch;
    for (int i = 0; i < rollouts; ++i) {
      Rollout rollout;
      rollout.score.reward = 0.1;
      rollout.score.values = {0.7};
      rollout.score.metrics = {{"term/figure", 0.3}};
      rollout.score.verdict.kind = verifier::Verdict::Kind::kRight;
      batch.rollouts.push_back(rollout);
    }
    StepStats stats;
    count_rollouts(batch, stats);
    EXPECT_EQ(stats.accuracy, 1.0) << rollouts;
    EXPECT_EQ(stats.reward_mean, 0.1) << rollouts;
    EXPECT_EQ(stats.reward_std, 0.0) << rollouts;
    EXPECT_EQ(stats.term_means, std::vector{0.7}) << rollouts;
    EXPECT_EQ(stats.grader_means.at("term/figure"), 0.3) << rollouts;
  }
}

// The middle one of three rewards has the advantage 0, and still belongs to a group that teaches something.
TEST(LiveDenominator, CountsEveryRolloutOfALiveGroup) {
  RolloutBatch batch;
  for (const double reward : {0.0, 0.5, 1.0, 1.0, 1.0, 1.0}) {
    Rollout rollout{.prompt = batch.rollouts.size() / 3};
    rollout.completion = {.ids = {5, 6}, .log_probs = {-1.0f, -1.0f}};
    rollout.score.reward = reward;
    batch.rollouts.push_back(rollout);
  }
  batch.prompts.resize(2);
  batch.group_offsets = {0, 3, 6};
  set_advantages(batch, {});
  ASSERT_EQ(batch.rollouts[1].advantage, 0.0);
  auto config = config_with(1 << 20);
  config.algorithm.denominator = algo::DenominatorScope::kLive;
  EXPECT_EQ(loss_scale(config, batch, all_rollouts(batch)), 1.0 / 6.0);
  config.algorithm.denominator = algo::DenominatorScope::kAll;
  EXPECT_EQ(loss_scale(config, batch, all_rollouts(batch)), 1.0 / 12.0);
}

// ---- several ranks ----

std::vector<at::Tensor> weights_of(StepFixture& fixture) {
  std::vector<at::Tensor> weights;
  for (const auto& [name, parameter] : fixture.policy().model->parameters())
    weights.push_back(parameter.detach().clone());
  return weights;
}

// Makes two updates from the same batch, with old log-probs and a reference where the configuration asks for them.
void make_updates(StepFixture& fixture, const RolloutBatch& batch, bool around_layers = true) {
  auto context = fixture.context();
  std::unique_ptr<models::CausalLM> reference;
  if (fixture.config().algorithm.kl.coef > 0.0) {
    reference = models::CausalLM::load(testing::golden_section("step") / "model", at::kFloat, at::kCPU);
    context.learner.reference = reference.get();
  }
  auto learned = fixture.learned(batch);
  const auto watch = watch_of(context);
  update::set_old_log_probs(context.learner, watch, learned.sequences);
  if (around_layers) context.learner.optimizer.release_weights();  // passes gather what they need
  for (int update = 0; update < 2; ++update)
    EXPECT_TRUE(update::update_weights(context.learner, watch, learned).applied);
  context.learner.optimizer.gather_weights();
}

std::vector<at::Tensor> after_updates_of_one(const TrainConfig& config, const RolloutBatch& batch) {
  StepFixture fixture(testing::golden_section("step") / "model", config);
  make_updates(fixture, batch);
  return weights_of(fixture);
}

// The weights after two updates on `size` ranks. All ranks must have the same bits.
std::vector<at::Tensor> after_updates_of(int64_t size, optim::StateSharding sharding, bool around_layers,
                                         const TrainConfig& config, const RolloutBatch& batch) {
  std::vector<std::vector<at::Tensor>> weights(static_cast<size_t>(size));
  dist::run_ranks(size, [&](dist::Communicator& communicator) {
    const StepFixture::OnRanks ranks{communicator, sharding, around_layers};
    StepFixture fixture(testing::golden_section("step") / "model", config, ranks);
    make_updates(fixture, batch, around_layers);
    weights[static_cast<size_t>(communicator.rank())] = weights_of(fixture);
  });
  for (const auto& theirs : weights) {
    for (size_t i = 0; i < theirs.size(); ++i) EXPECT_TRUE(theirs[i].equal(weights[0][i]));
  }
  return weights[0];
}

double largest_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, (a[i] - b[i]).abs().max().item<double>());
  return largest;
}

class UpdateOnRanks : public ::testing::TestWithParam<optim::StateSharding> {
 protected:
  UpdateOnRanks() {
    set_advantages(batch_, {});
    config_.optimizer.lr = 1e-4;
    config_.optimizer.warmup_updates = 0;
  }
  TrainConfig config_ = config_with(17);
  RolloutBatch batch_ = pairs_of_rollouts(256);
};
INSTANTIATE_TEST_SUITE_P(EverySharding, UpdateOnRanks,
                         ::testing::Values(optim::StateSharding::kNone, optim::StateSharding::kOptimizer,
                                           optim::StateSharding::kGradients, optim::StateSharding::kWeights));

// Adam's first steps have the size of lr whatever the size of the gradient. A difference of 1e-6 is a hundredth of
// that.
TEST_P(UpdateOnRanks, IsTheUpdateOfOneAndReducingBesideTheBackwardChangesNoBit) {
  const auto beside = after_updates_of(2, GetParam(), true, config_, batch_);
  EXPECT_LT(largest_difference(beside, after_updates_of_one(config_, batch_)), 1e-6);
  const auto after = after_updates_of(2, GetParam(), false, config_, batch_);
  EXPECT_EQ(largest_difference(beside, after), 0.0);
}

TEST_P(UpdateOnRanks, TakesOldLogProbsAndAReference) {
  config_.algorithm.kl.coef = 0.1;
  EXPECT_LT(
      largest_difference(after_updates_of(2, GetParam(), true, config_, batch_), after_updates_of_one(config_, batch_)),
      1e-6);
}

// There is one live group of two, so the third rank has no rollout to train on. With micro-batches of one rollout it
// takes part in their collectives all the same.
TEST_P(UpdateOnRanks, GoesOnWhereARankHasNoLiveRollout) {
  for (auto& rollout : batch_.rollouts)
    rollout.score.reward = rollout.prompt == 2 ? static_cast<double>(rollout.sample) : 1.0;
  set_advantages(batch_, {});
  EXPECT_LT(
      largest_difference(after_updates_of(3, GetParam(), true, config_, batch_), after_updates_of_one(config_, batch_)),
      1e-6);
}

// An update without any live rollout does not leave a rank waiting either.
TEST_P(UpdateOnRanks, MakeNoUpdateWhenNoGroupIsLive) {
  for (auto& rollout : batch_.rollouts) rollout.score.reward = 1.0;
  set_advantages(batch_, {});
  dist::run_ranks(2, [&](dist::Communicator& communicator) {
    const StepFixture::OnRanks ranks{communicator, GetParam()};
    StepFixture fixture(testing::golden_section("step") / "model", config_, ranks);
    const auto before = weights_of(fixture);
    auto& optimizer = fixture.context().learner.optimizer;
    optimizer.release_weights();
    EXPECT_FALSE(fixture.update(batch_).applied);
    optimizer.gather_weights();
    EXPECT_EQ(largest_difference(before, weights_of(fixture)), 0.0);
  });
}

// Counts the operators with which LibTorch brings values to the host.
class HostReads {
 public:
  HostReads() : handle_(at::addGlobalCallback(at::RecordFunctionCallback(&count).scopes({at::RecordScope::FUNCTION}))) {
    reads = 0;
  }
  ~HostReads() { at::removeCallback(handle_); }
  HostReads(const HostReads&) = delete;
  HostReads& operator=(const HostReads&) = delete;

  int number() const { return reads; }

 private:
  static std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& function) {
    const std::string name = function.name();
    if (name == "aten::_local_scalar_dense" || name == "aten::nonzero" || name == "aten::equal" ||
        name == "aten::masked_select")
      ++reads;
    return nullptr;
  }

  static std::atomic<int> reads;
  at::CallbackHandle handle_;
};
std::atomic<int> HostReads::reads = 0;

// What micro-batches measure comes to the host at the end in one copy, which is not one of the operators that are
// counted. (The optimizer's step reads the gradient's norm after that, and its kernel on the CPU also each parameter's
// counter.)
TEST(AccumulateGradient, ReadsNoValueOnTheHostHoweverManyMicroBatches) {
  for (const auto loss : {algo::Loss::kClip, algo::Loss::kGspo}) {
    for (const int64_t tokens : {1 << 20, 17}) {
      auto batch = pairs_of_rollouts(256);
      set_advantages(batch, {});
      auto config = config_with(tokens);
      config.algorithm.policy.loss = loss;
      config.algorithm.entropy_coef = 0.01;
      StepFixture fixture(testing::golden_section("step") / "model", config);
      const HostReads reads;
      EXPECT_GT(fixture.accumulate(batch).tokens, 0);
      EXPECT_EQ(reads.number(), 0) << tokens;
      EXPECT_TRUE(fixture.context().learner.optimizer.step(1).applied);
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
