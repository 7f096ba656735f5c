// When a micro-batch does not fit, the update starts over with smaller ones: same gradient, and later updates keep to it.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "support/golden.h"
#include "support/limited_memory.h"
#include "trainer/step_fixture.h"
#include "trainer/token_budget.h"

namespace grpo::trainer {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kAll = 1 << 20;

class OutOfMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    base::set_quiet(true);
    batch_ = pairs_of_rollouts(256);
    set_advantages(batch_, {});
  }

  static TrainConfig config(int64_t micro_batch_tokens) {
    TrainConfig config;
    config.reward.terms = {reward::RewardTerm{}};
    config.rollout.max_new_tokens = 12;
    config.trainer.micro_batch_tokens = micro_batch_tokens;
    return config;
  }

  struct Found {
    models::NamedTensors gradients;
    UpdateStats stats;
    int64_t tokens = 0;  // of a micro-batch, afterwards
    int64_t peak = 0;    // bytes
  };

  Found accumulate(int64_t micro_batch_tokens, int64_t limit) {
    StepFixture fixture(testing::golden_section("step") / "model", config(micro_batch_tokens));
    auto context = fixture.context();
    accumulate_gradient(context, batch_, all_rollouts(batch_));  // what stays for good is there
    context.optimizer.zero_grad();
    context.micro_batch_tokens = micro_batch_tokens;
    Found found;
    {
      const testing::LimitedMemory memory(limit);
      found.stats = accumulate_gradient(context, batch_, all_rollouts(batch_));
      found.peak = memory.most();
    }
    found.tokens = context.micro_batch_tokens;
    found.gradients = fixture.take_gradients();
    return found;
  }

  RolloutBatch batch_;
};

TEST_F(OutOfMemory, StartsOverWithSmallerMicroBatchesAndFindsTheSameGradient) {
  constexpr int64_t kNoLimit = int64_t{1} << 40;
  const auto whole = accumulate(kAll, kNoLimit);
  EXPECT_EQ(whole.tokens, kAll);
  const auto retried = accumulate(kAll, whole.peak - 1);
  EXPECT_LT(retried.tokens, 200);  // the live rollouts have 79 tokens in all
  EXPECT_LT(retried.peak, 2 * whole.peak);

  const auto small = accumulate(retried.tokens, kNoLimit);
  ASSERT_LT(small.peak, whole.peak);
  EXPECT_EQ(max_difference(retried.gradients, small.gradients), 0.0);
  EXPECT_EQ(retried.stats.loss, small.stats.loss);
  EXPECT_EQ(retried.stats.tokens, whole.stats.tokens);
  // Sums in another order.
  EXPECT_LE(max_difference(retried.gradients, whole.gradients), 2e-6);
  EXPECT_NEAR(retried.stats.loss, whole.stats.loss, 1e-6);
}

TEST_F(OutOfMemory, GivesUpNamingRemediesWhenOneRolloutDoesNotFit) {
  try {
    accumulate(kAll, 1000);
    FAIL() << "1,000 bytes were enough";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("not even one rollout fits"));
    EXPECT_THAT(error.what(), HasSubstr("trainer.activation_checkpointing: full"));
  }
}

TEST_F(OutOfMemory, OtherErrorsAreNotTriedAgain) {
  StepFixture fixture(testing::golden_section("step") / "model", config(kAll));
  auto context = fixture.context();
  int calls = 0;
  context.on_progress = [&](const StepProgress&) {
    ++calls;
    throw std::runtime_error("another error");
  };
  EXPECT_THROW(accumulate_gradient(context, batch_, all_rollouts(batch_)), std::runtime_error);
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
}  // namespace grpo::trainer
