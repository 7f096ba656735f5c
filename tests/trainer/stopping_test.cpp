#include "trainer/stopping.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "grpo/base/log.h"
#include "support/thread_ranks.h"

namespace grpo::trainer {
namespace {

class StoppingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    base::set_quiet(true);
    forget_signals();
  }
  void TearDown() override { forget_signals(); }
};

TEST(CanFinish, AsksForTheRestOfTheStepAndTheCheckpoint) {
  const Pace pace{.step_s = 100.0, .save_s = 20.0};
  EXPECT_TRUE(can_finish(pace, 60.0, 71.0));  // 110 - 60 + 20
  EXPECT_FALSE(can_finish(pace, 60.0, 69.0));
  EXPECT_TRUE(can_finish(pace, 500.0, 21.0));  // the step is overdue, so it is expected to end at any moment
  EXPECT_FALSE(can_finish(pace, 500.0, 19.0));
  EXPECT_FALSE(can_finish({.step_s = {}, .save_s = 0.0}, 0.0, 1e9));
}

TEST_F(StoppingTest, SignalsWithinASecondAreOne) {
  EXPECT_EQ(note_signal(), 1);
  EXPECT_EQ(note_signal(), 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(note_signal(), 2);
}

TEST_F(StoppingTest, AStepIsDroppedWhenItsPaceIsNotKnownOrTooSlow) {
  dist::run_ranks(1, [](dist::Communicator& alone) {
    Stopping unknown(alone, 1000.0);
    unknown.begin_step(1);
    EXPECT_FALSE(unknown.drops_step());
    note_signal();
    EXPECT_TRUE(unknown.drops_step());
  });
  forget_signals();
  for (const double within_s : {0.0, 1000.0}) {
    dist::run_ranks(1, [&](dist::Communicator& alone) {
      forget_signals();
      Stopping stop(alone, within_s);
      stop.begin_step(1);
      stop.end_step();
      stop.begin_step(2);
      EXPECT_FALSE(stop.drops_step());
      note_signal();
      EXPECT_EQ(stop.drops_step(), within_s == 0.0);
      EXPECT_TRUE(stop.drops_evaluation());
    });
  }
}

// A signal would reach both ranks, which are threads of one process here. So rank 1 announces its decision without one,
// and the test is that the other rank learns of it.
TEST_F(StoppingTest, OneRanksWordCountsForAll) {
  dist::run_ranks(2, [](dist::Communicator& ranks) {
    Stopping stop(ranks, 0.0);
    stop.begin_step(1);
    EXPECT_FALSE(stop.drops_step());
    ranks.barrier("not yet");
    if (ranks.rank() == 1) ranks.add_shared("dropped", 1);
    ranks.barrier("said");
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    EXPECT_TRUE(stop.drops_step());
  });
}

}  // namespace
}  // namespace grpo::trainer
