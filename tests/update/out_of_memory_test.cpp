// When a micro-batch does not fit, the update starts over with smaller ones. The gradient is the same, and later
// updates keep to the smaller size.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "support/golden.h"
#include "support/limited_memory.h"
#include "update/learner_fixture.h"

namespace grpo::update {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kAll = 1 << 20;

class OutOfMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    base::set_quiet(true);
    throw_when_memory_runs_out();
  }

  struct Found {
    models::NamedTensors gradients;
    UpdateStats stats;
    int64_t tokens = 0;  // the budget of a micro-batch after the update
    int64_t peak = 0;    // the most bytes that were allocated
  };

  Found accumulate(int64_t micro_batch_tokens, int64_t limit) {
    LearnerFixture fixture(testing::golden_section("step") / "model", {}, {}, micro_batch_tokens);
    fixture.accumulate(batch_);  // allocates what is kept from then on, so that it does not count below
    fixture.learner().optimizer.zero_grad();
    Found found;
    {
      const testing::LimitedMemory memory(limit);
      found.stats = fixture.accumulate(batch_);
      found.peak = memory.most();
    }
    found.tokens = fixture.budget().tokens();
    found.gradients = fixture.take_gradients();
    return found;
  }

  const Batch batch_ = uneven_batch(256);
};

TEST_F(OutOfMemory, StartsOverWithSmallerMicroBatchesAndFindsTheSameGradient) {
  constexpr int64_t kNoLimit = int64_t{1} << 40;
  const auto whole = accumulate(kAll, kNoLimit);
  EXPECT_EQ(whole.tokens, kAll);
  const auto retried = accumulate(kAll, whole.peak - 1);
  EXPECT_LT(retried.tokens, 200);  // the sequences have fewer than 100 tokens in all
  EXPECT_LT(retried.peak, 2 * whole.peak);

  const auto small = accumulate(retried.tokens, kNoLimit);
  ASSERT_LT(small.peak, whole.peak);
  EXPECT_EQ(max_difference(retried.gradients, small.gradients), 0.0);
  EXPECT_EQ(retried.stats.figure("loss"), small.stats.figure("loss"));
  EXPECT_EQ(retried.stats.tokens, whole.stats.tokens);
  // The sums have another order, so they differ by rounding.
  EXPECT_LE(max_difference(retried.gradients, whole.gradients), 2e-6);
  EXPECT_NEAR(retried.stats.figure("loss"), whole.stats.figure("loss"), 1e-6);
}

TEST_F(OutOfMemory, GivesUpNamingRemediesWhenOneSequenceDoesNotFit) {
  try {
    accumulate(kAll, 1000);
    FAIL() << "1,000 bytes were enough";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("not even one sequence fits"));
    EXPECT_THAT(error.what(), HasSubstr("trainer.activation_checkpointing: full"));
  }
}

TEST_F(OutOfMemory, OtherErrorsAreNotTriedAgain) {
  LearnerFixture fixture(testing::golden_section("step") / "model", {}, {}, kAll);
  auto broken = batch_;
  broken.sequences[1].ids[0] = 1 << 20;  // outside the vocabulary
  EXPECT_ANY_THROW(fixture.accumulate(broken));
  EXPECT_EQ(fixture.budget().tokens(), kAll);
  int calls = 0;
  const Watch watch{.name = "step 1", .on_progress = [&](const Progress&) {
                      ++calls;
                      throw std::runtime_error("another error");
                    }};
  EXPECT_THROW(accumulate_gradient(fixture.learner(), watch, batch_), std::runtime_error);
  EXPECT_EQ(calls, 1);
}

template <typename F>
bool says_out_of_memory(const F& work) {
  try {
    work();
  } catch (const std::exception& error) {
    return is_out_of_memory(error);
  }
  return false;
}

TEST(IsOutOfMemory, KnowsWhatAllocatorsThrow) {
  throw_when_memory_runs_out();
  EXPECT_TRUE(says_out_of_memory([] { at::empty({int64_t{1} << 50}); }));  // LibTorch on the CPU
  EXPECT_TRUE(says_out_of_memory([] { throw std::bad_alloc(); }));
  EXPECT_TRUE(says_out_of_memory([] { TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory."); }));
  EXPECT_FALSE(says_out_of_memory([] { at::ones({2}) + at::ones({3}); }));
  EXPECT_FALSE(says_out_of_memory([] { throw base::Error("no disk"); }));
}

}  // namespace
}  // namespace grpo::update
