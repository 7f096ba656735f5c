#include "app/driver_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grpo::app {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(DriverLine, TakesAnyDriverOfTheSameOrANewerMajorVersion) {
  EXPECT_THAT(driver_line("580.65.06", 13000, 13000),
              HasSubstr("580.65.06, up to CUDA 13.0; built for CUDA 13.0, which needs driver 580 or newer"));
  for (const int built : {13000, 13020, 12080})
    EXPECT_THAT(driver_line("580.65.06", 13000, built), EndsWith(": fits")) << built;
}

TEST(DriverLine, NamesTheWayOutWhereTheDriverIsTooOld) {
  EXPECT_THAT(driver_line("550.54", 12040, 13000),
              HasSubstr("TOO OLD; update the driver, or build with a LibTorch for CUDA 12"));
}

}  // namespace
}  // namespace grpo::app
