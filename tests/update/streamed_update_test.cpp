// An update that begins before all its sequences are known has the same result, whenever they arrive.
#include "grpo/update/streamed_update.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "grpo/base/log.h"
#include "support/golden.h"
#include "support/limited_memory.h"
#include "update/learner_fixture.h"

namespace grpo::update {
namespace {

struct Updated {
  UpdateStats stats;
  models::NamedTensors weights;
};

class Streamed : public ::testing::Test {
 protected:
  void SetUp() override { base::set_quiet(true); }

  static LearnerFixture fixture(const Objective& objective, int64_t tokens) {
    return {testing::golden_section("step") / "model", objective, telling_optimizer(), tokens};
  }

  // The two sequences of place i. Places from 4 on have none, as those of tied groups.
  std::vector<Sequence> place(size_t i) const {
    if (i >= 4) return {};
    return {batch_.sequences[2 * i], batch_.sequences[2 * i + 1]};
  }

  Updated plain(const Objective& objective, int64_t tokens = 40) const {
    auto learning = fixture(objective, tokens);
    return {learning.update(batch_), learning.weights()};
  }

  // completed: the groups in the order in which their places are announced; scored: the places in the order in which
  // they are filled.
  Updated streamed(const Objective& objective, const std::vector<size_t>& completed, const std::vector<size_t>& scored,
                   int pause_ms = 0) const {
    auto learning = fixture(objective, 40);
    StreamedUpdate stream(learning.learner(), learning.watch());
    for (size_t i = 0; i < completed.size(); ++i) EXPECT_EQ(stream.announce(), i);
    for (const size_t at : scored) {
      stream.take(at, place(completed[at]));
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
    return {stream.finish(batch_.scale), learning.weights()};
  }

  Batch batch_ = uneven_batch(256);
  const std::vector<size_t> in_order_ = {0, 1, 2, 3, 4, 5};
};

void expect_close(const Updated& a, const Updated& b) {
  EXPECT_TRUE(a.stats.applied);
  EXPECT_LE(max_difference(a.weights, b.weights), 2e-6);  // sums in another order, scaled at the end
  EXPECT_NEAR(a.stats.figure("loss"), b.stats.figure("loss"), 2e-6);
  EXPECT_NEAR(a.stats.grad_norm, b.stats.grad_norm, 2e-6 * (1.0 + b.stats.grad_norm));
  EXPECT_NEAR(a.stats.figure("entropy"), b.stats.figure("entropy"), 1e-6);
  EXPECT_NEAR(a.stats.figure("kl/sampler"), b.stats.figure("kl/sampler"), 1e-5);
  EXPECT_EQ(a.stats.figure("ratio/max"), b.stats.figure("ratio/max"));
  EXPECT_EQ(a.stats.tokens, b.stats.tokens);
}

TEST_F(Streamed, UpdateEqualsThePlainOneForEveryAggregation) {
  for (const auto aggregation : {algo::Aggregation::kTokenMean, algo::Aggregation::kSeqMeanTokenMean,
                                 algo::Aggregation::kSeqMeanTokenSum, algo::Aggregation::kSeqMeanTokenSumNorm}) {
    expect_close(streamed({.aggregation = aggregation}, {3, 0, 5, 1, 4, 2}, in_order_),
                 plain({.aggregation = aggregation}));
  }
}

TEST_F(Streamed, UpdateEqualsThePlainOneWithEntropyAndWeights) {
  batch_.sequences[2].weight = 0.25;
  expect_close(streamed({.entropy_coef = 0.01}, {3, 0, 5, 1, 4, 2}, in_order_), plain({.entropy_coef = 0.01}));
}

TEST_F(Streamed, UpdateDoesNotDependOnWhenSequencesCome) {
  const std::vector<size_t> completed = {3, 0, 5, 1, 4, 2};
  const auto at_once = streamed({}, completed, in_order_);
  for (const auto& scored : {std::vector<size_t>{5, 4, 3, 2, 1, 0}, std::vector<size_t>{1, 0, 5, 2, 4, 3}}) {
    const auto late = streamed({}, completed, scored, /*pause_ms=*/3);
    EXPECT_EQ(max_difference(at_once.weights, late.weights), 0.0);
    EXPECT_EQ(at_once.stats.figure("loss"), late.stats.figure("loss"));
    EXPECT_EQ(at_once.stats.grad_norm, late.stats.grad_norm);
  }
}

TEST_F(Streamed, WithoutASequenceThereIsNoUpdate) {
  auto learning = fixture({}, 40);
  const auto before = learning.weights();
  StreamedUpdate stream(learning.learner(), learning.watch());
  for (int i = 0; i < 3; ++i) stream.take(stream.announce(), {});
  EXPECT_FALSE(stream.finish(std::nullopt).applied);
  EXPECT_EQ(max_difference(before, learning.weights()), 0.0);
  EXPECT_EQ(learning.learner().optimizer.updates(), 0);
}

bool has_gradient(LearnerFixture& learning) {
  for (const auto& [name, tensor] : learning.model().parameters()) {
    if (tensor.grad().defined()) return true;
  }
  return false;
}

TEST_F(Streamed, GradientIsDroppedWhenTheStepStops) {
  auto learning = fixture({}, 20);
  {
    StreamedUpdate stream(learning.learner(), learning.watch());
    for (const size_t i : {0, 2}) stream.take(stream.announce(), place(i));
    stream.announce();  // this place is never filled
    while (stream.busy_seconds() == 0.0) std::this_thread::yield();
  }
  EXPECT_FALSE(has_gradient(learning));
  EXPECT_TRUE(learning.update(batch_).applied);  // the next update is not disturbed
  EXPECT_EQ(max_difference(learning.weights(), plain({}, 20).weights), 0.0);
}

TEST_F(Streamed, ErrorsOfTheThreadReachTheCaller) {
  auto learning = fixture({}, 20);
  batch_.sequences[4].ids[0] = 1 << 20;  // outside the vocabulary
  {
    StreamedUpdate stream(learning.learner(), learning.watch());
    for (const size_t i : in_order_) stream.take(stream.announce(), place(i));
    EXPECT_THROW(stream.finish(batch_.scale), std::exception);
    EXPECT_TRUE(stream.failed());
  }
  EXPECT_FALSE(has_gradient(learning));
}

TEST_F(Streamed, UpdateStartsOverWithSmallerMicroBatchesWhenMemoryRunsOut) {
  constexpr int64_t kAll = 1 << 20;
  int64_t left = kAll, peak = 0;
  const auto run = [&](int64_t limit) {
    auto learning = fixture({}, kAll);
    learning.accumulate(batch_);  // allocates what is kept from then on, so that it does not count below
    learning.learner().optimizer.zero_grad();
    const testing::LimitedMemory memory(limit);
    StreamedUpdate stream(learning.learner(), learning.watch());
    for (const size_t i : in_order_) stream.take(stream.announce(), place(i));
    const auto stats = stream.finish(batch_.scale);
    peak = memory.most();
    left = learning.budget().tokens();
    return Updated{stats, learning.weights()};
  };
  const auto whole = run(int64_t{1} << 40);
  EXPECT_EQ(left, kAll);
  const auto retried = run(peak - 1);
  EXPECT_LT(left, kAll);
  expect_close(retried, whole);
}

}  // namespace
}  // namespace grpo::update
