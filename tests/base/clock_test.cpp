#include "grpo/base/clock.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace grpo::base {
namespace {

TEST(LocalTime, IsOfThisMachinesTimeZone) {
  ::setenv("TZ", "UTC-2", /*overwrite=*/1);  // two hours ahead of UTC
  ::tzset();
  EXPECT_EQ(local_time(86'399, "%Y-%m-%d %H:%M:%S"), "1970-01-02 01:59:59");
  EXPECT_EQ(local_time(0, "%H:%M"), "02:00");
  EXPECT_THAT(clock_time(), ::testing::MatchesRegex("[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"));
}

}  // namespace
}  // namespace grpo::base
