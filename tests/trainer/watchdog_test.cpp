#include "trainer/watchdog.h"

#include <gtest/gtest.h>

#include <thread>

namespace grpo::trainer {
namespace {

using std::chrono::milliseconds;

[[noreturn]] __attribute__((noinline)) void hang() {
  while (true) std::this_thread::sleep_for(milliseconds(10));
}

TEST(WatchdogDeathTest, SaysWhereARunHangsWithTheStackOfEveryThreadAndEndsIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        Watchdog watchdog(milliseconds(300));
        watchdog.enter("step 3, rollout");
        std::thread(hang).detach();
        hang();
      },
      testing::ExitedWithCode(1),
      "no progress for 0.3 s .* in step 3, rollout; every thread's stack:\nthread [0-9]+ (.|\n)*thread [0-9]+ "
      "(.|\n)*start again");
}

TEST(Watchdog, LetsARunBeThatGoesOnOrWaitsForTheDisk) {
  Watchdog watchdog(milliseconds(1500));  // a busy machine may stop this test for so long as a second
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    watchdog.beat();
  }
  const Watchdog::Pause pause(watchdog);
  std::this_thread::sleep_for(milliseconds(2000));
}

}  // namespace
}  // namespace grpo::trainer
