// trainer.stream_update: the update that begins beside the rollout is the update, in whatever time its groups are scored.
#include "trainer/streamed_update.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "grpo/base/log.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/limited_memory.h"
#include "trainer/step_fixture.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;

// With so large an eps the first update is nearly the gradient itself: weights after it can be compared.
TrainConfig config_with(int64_t micro_batch_tokens) {
  TrainConfig config;
  config.reward.terms = {reward::RewardTerm{}};
  config.rollout.max_new_tokens = 12;
  config.trainer.micro_batch_tokens = micro_batch_tokens;
  config.optimizer.lr = 1.0;
  config.optimizer.eps = 1.0;
  config.optimizer.warmup_steps = 0;
  config.optimizer.weight_decay = 0.0;
  return config;
}

std::vector<Rollout> group_of(const RolloutBatch& batch, size_t q) {
  return {batch.rollouts.begin() + batch.group_offsets[q], batch.rollouts.begin() + batch.group_offsets[q + 1]};
}

struct Updated {
  UpdateStats stats;
  models::NamedTensors weights;
};

models::NamedTensors weights_of(StepFixture& fixture) {
  models::NamedTensors weights;
  for (const auto& [name, tensor] : fixture.policy().model->parameters()) weights.emplace_back(name, tensor.detach().clone());
  return weights;
}

class Streamed : public ::testing::Test {
 protected:
  void SetUp() override {
    base::set_quiet(true);
    batch_ = pairs_of_rollouts(256);
    set_advantages(batch_, {});
  }

  Updated plain(const TrainConfig& config) {
    StepFixture fixture(testing::golden_section("step") / "model", config);
    auto context = fixture.context();
    return {update_policy(context, batch_, all_rollouts(batch_)), weights_of(fixture)};
  }

  // scored: places in the order of completion, in the order in which they are scored.
  Updated streamed(const TrainConfig& config, const std::vector<size_t>& completed, const std::vector<size_t>& scored, int pause_ms = 0) {
    StepFixture fixture(testing::golden_section("step") / "model", config);
    auto context = fixture.context();
    StreamedUpdate stream(context, batch_.prompts);
    for (size_t i = 0; i < completed.size(); ++i) EXPECT_EQ(stream.announce(), i);
    for (const size_t place : scored) {
      stream.take(place, group_of(batch_, completed[place]));
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
    return {stream.finish(batch_), weights_of(fixture)};
  }

  RolloutBatch batch_;
  const std::vector<size_t> in_order_ = {0, 1, 2, 3, 4, 5};
};

void expect_close(const Updated& a, const Updated& b) {
  EXPECT_TRUE(a.stats.applied);
  EXPECT_LE(max_difference(a.weights, b.weights), 2e-6);  // sums in another order, scaled at the end
  EXPECT_NEAR(a.stats.loss, b.stats.loss, 2e-6);
  EXPECT_NEAR(a.stats.grad_norm, b.stats.grad_norm, 2e-6 * (1.0 + b.stats.grad_norm));
  EXPECT_NEAR(a.stats.entropy, b.stats.entropy, 1e-6);
  EXPECT_NEAR(a.stats.kl_sampler, b.stats.kl_sampler, 1e-5);
  EXPECT_EQ(a.stats.ratio_max, b.stats.ratio_max);
  EXPECT_EQ(a.stats.tokens, b.stats.tokens);
}

TEST_F(Streamed, UpdateEqualsThePlainOneForEveryAggregationAndDenominator) {
  for (const auto aggregation : {algo::Aggregation::kTokenMean, algo::Aggregation::kSeqMeanTokenMean, algo::Aggregation::kSeqMeanTokenSum,
                                 algo::Aggregation::kSeqMeanTokenSumNorm}) {
    for (const auto denominator : {algo::DenominatorScope::kAll, algo::DenominatorScope::kLive}) {
      auto config = config_with(40);
      config.algorithm.aggregation = aggregation;
      config.algorithm.denominator = denominator;
      config.optimizer.clip_grad_norm = std::nullopt;
      expect_close(streamed(config, {3, 0, 5, 1, 4, 2}, in_order_), plain(config));
    }
  }
}

TEST_F(Streamed, UpdateEqualsThePlainOneWithEntropyAndMaskedCompletions) {
  auto config = config_with(40);
  config.algorithm.entropy_coef = 0.01;
  config.algorithm.truncated = Truncated::kMask;
  batch_.rollouts[0].completion.finish_reason = rollout::FinishReason::kLength;
  for (size_t i = 1; i < batch_.rollouts.size(); ++i) batch_.rollouts[i].completion.finish_reason = rollout::FinishReason::kStop;
  expect_close(streamed(config, {3, 0, 5, 1, 4, 2}, in_order_), plain(config));
}

TEST_F(Streamed, UpdateDoesNotDependOnWhenGroupsAreScored) {
  const auto config = config_with(40);
  const std::vector<size_t> completed = {3, 0, 5, 1, 4, 2};
  const auto at_once = streamed(config, completed, in_order_);
  for (const auto& scored : {std::vector<size_t>{5, 4, 3, 2, 1, 0}, std::vector<size_t>{1, 0, 5, 2, 4, 3}}) {
    const auto late = streamed(config, completed, scored, /*pause_ms=*/3);
    EXPECT_EQ(max_difference(at_once.weights, late.weights), 0.0);
    EXPECT_EQ(at_once.stats.loss, late.stats.loss);
    EXPECT_EQ(at_once.stats.grad_norm, late.stats.grad_norm);
  }
}

TEST_F(Streamed, UpdateSkipsDeadGroupsAndMakesNoneWithoutALiveOne) {
  const auto live = streamed(config_with(40), in_order_, in_order_);
  int64_t tokens = 0;
  for (const auto& rollout : batch_.rollouts) tokens += rollout.advantage != 0.0 ? static_cast<int64_t>(rollout.completion.ids.size()) : 0;
  EXPECT_EQ(live.stats.tokens, tokens);

  for (auto& rollout : batch_.rollouts) rollout.score.reward = 1.0;
  set_advantages(batch_, {});
  StepFixture fixture(testing::golden_section("step") / "model", config_with(40));
  const auto before = weights_of(fixture);
  auto context = fixture.context();
  StreamedUpdate stream(context, batch_.prompts);
  for (const size_t q : in_order_) stream.take(stream.announce(), group_of(batch_, q));
  EXPECT_FALSE(stream.finish(batch_).applied);
  EXPECT_EQ(max_difference(before, weights_of(fixture)), 0.0);
  EXPECT_EQ(context.optimizer.updates(), 0);
}

bool has_gradient(StepFixture& fixture) {
  for (const auto& [name, tensor] : fixture.policy().model->parameters()) {
    if (tensor.grad().defined()) return true;
  }
  return false;
}

TEST_F(Streamed, GradientIsDroppedWhenTheStepStops) {
  StepFixture fixture(testing::golden_section("step") / "model", config_with(20));
  auto context = fixture.context();
  {
    StreamedUpdate stream(context, batch_.prompts);
    for (const size_t q : {0, 2}) stream.take(stream.announce(), group_of(batch_, q));
    stream.announce();  // never scored
    while (stream.busy_seconds() == 0.0) std::this_thread::yield();
  }
  EXPECT_FALSE(has_gradient(fixture));
  EXPECT_TRUE(update_policy(context, batch_, all_rollouts(batch_)).applied);  // and the next step is as any other
  EXPECT_EQ(max_difference(weights_of(fixture), plain(config_with(20)).weights), 0.0);
}

TEST_F(Streamed, ErrorsOfTheThreadReachTheCaller) {
  StepFixture fixture(testing::golden_section("step") / "model", config_with(20));
  auto context = fixture.context();
  auto broken = batch_;
  broken.rollouts[4].completion.ids[0] = 1 << 20;  // outside the vocabulary
  {
    StreamedUpdate stream(context, batch_.prompts);
    for (const size_t q : in_order_) stream.take(stream.announce(), group_of(broken, q));
    EXPECT_THROW(stream.finish(batch_), std::exception);
    EXPECT_TRUE(stream.failed());
  }
  EXPECT_FALSE(has_gradient(fixture));
}

TEST_F(Streamed, UpdateStartsOverWithSmallerMicroBatchesWhenMemoryRunsOut) {
  const auto run = [&](int64_t tokens, int64_t limit, int64_t* peak, int64_t* left) {
    StepFixture fixture(testing::golden_section("step") / "model", config_with(tokens));
    auto context = fixture.context();
    accumulate_gradient(context, batch_, all_rollouts(batch_));  // what stays for good is there
    context.optimizer.zero_grad();
    const testing::LimitedMemory memory(limit);
    StreamedUpdate stream(context, batch_.prompts);
    for (const size_t q : in_order_) stream.take(stream.announce(), group_of(batch_, q));
    const auto stats = stream.finish(batch_);
    *peak = memory.most();
    *left = context.micro_batch_tokens;
    return Updated{stats, weights_of(fixture)};
  };
  int64_t peak = 0, left = 0, ignored = 0;
  const auto whole = run(1 << 20, int64_t{1} << 40, &peak, &left);
  const auto retried = run(1 << 20, peak - 1, &ignored, &left);
  EXPECT_LT(left, 1 << 20);
  expect_close(retried, whole);
}

// ---- whole runs

class StreamedRun : public ::testing::Test {
 protected:
  void SetUp() override { base::set_quiet(true); }

  TrainConfig config(const std::string& name, bool stream = true) {
    auto config = tiny_config(dir_.path() / name);
    config.rollout.exact = false;
    config.trainer.stream_update = stream;
    config.trainer.micro_batch_tokens = 60;
    return config;
  }
  fs::path folder(const std::string& name) const { return dir_.path() / name / "tiny"; }

  void run(const TrainConfig& config, const std::string& resume = "never") {
    EXPECT_EQ(train(config, {.resume = resume, .config_folder = ""}), Outcome::kFinished);
  }

  testing::TempDir dir_;
};

TEST_F(StreamedRun, TwoAreEqualBitForBitAndSoIsAResumedOne) {
  run(config("one"));
  run(config("two"));
  expect_equal_runs(folder("one"), folder("two"));
  fs::remove_all(folder("two") / "checkpoints" / "step_00000006");
  fs::remove_all(folder("two") / "checkpoints" / "step_00000004");
  run(config("two"), "auto");
  expect_equal_runs(folder("one"), folder("two"));
}

TEST_F(StreamedRun, MakesThePlainRunsFirstUpdateAndSaysWhatItHid) {
  run(config("plain", false));
  run(config("streamed"));
  const auto plain = testing::read_jsonl(folder("plain") / "metrics.jsonl"), streamed = testing::read_jsonl(folder("streamed") / "metrics.jsonl");
  ASSERT_EQ(streamed.size(), 6u);
  for (const char* name : {"loss", "grad_norm", "entropy", "reward/mean", "tokens/trained", "groups/live"}) {
    const double expected = plain[0].at(name).get<double>();
    EXPECT_NEAR(streamed[0].at(name).get<double>(), expected, 1e-5 * (1.0 + std::abs(expected))) << name;
  }
  for (const auto& line : plain) EXPECT_FALSE(line.contains("time/update_hidden"));
  double hidden = 0.0;
  for (const auto& line : streamed) hidden += line.at("time/update_hidden").get<double>();
  EXPECT_GT(hidden, 0.0);
}

// A signal while a step streams: the step is dropped whole, what was done before is saved.
TEST_F(StreamedRun, StopsAtASignalWithoutAHalfStep) {
  auto whole = config("whole"), stopped = config("stopped");
  for (auto* config : {&whole, &stopped}) {
    config->trainer.steps = 60;
    config->checkpoint.every_steps = 0;
  }
  run(whole);
  std::thread signal([&] {
    while (!fs::exists(folder("stopped") / "rollouts" / "step_00000002.jsonl")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    request_stop();
  });
  EXPECT_EQ(train(stopped, {.resume = "never", .config_folder = ""}), Outcome::kStopped);
  signal.join();
  EXPECT_LT(comparable_metrics(folder("stopped")).size(), 60u);
  run(stopped, "auto");
  expect_equal_runs(folder("whole"), folder("stopped"), "step_00000060");
}

}  // namespace
}  // namespace grpo::trainer
