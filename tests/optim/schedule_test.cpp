#include "grpo/optim/schedule.h"

#include <gmock/gmock.h>

#include "grpo/base/error.h"

namespace grpo::optim {
namespace {

TEST(LrFactor, IsZeroInTheFirstUpdateOfAWarmUpAndRisesLinearly) {
  const OptimizerConfig config{.warmup_updates = 10};
  EXPECT_EQ(lr_factor(config, 0, 100), 0.0);
  EXPECT_EQ(lr_factor(config, 5, 100), 0.5);
  EXPECT_EQ(lr_factor(config, 10, 100), 1.0);
  EXPECT_EQ(lr_factor(config, 1000, 100), 1.0);
  EXPECT_EQ(lr_factor({.warmup_updates = 0}, 0, 100), 1.0);
}

TEST(LrFactor, EndsAtTheFloorAndStaysThere) {
  for (const Schedule schedule : {Schedule::kLinear, Schedule::kCosine}) {
    const OptimizerConfig config{.schedule = schedule, .min_lr_ratio = 0.2};
    EXPECT_NEAR(lr_factor(config, 0, 40), 1.0, 1e-12);
    EXPECT_NEAR(lr_factor(config, 20, 40), 0.6, 1e-12);
    EXPECT_NEAR(lr_factor(config, 40, 40), 0.2, 1e-12);
    EXPECT_NEAR(lr_factor(config, 50, 40), 0.2, 1e-12);
  }
}

TEST(OptimizerConfig, RejectsWhatRangesCannotSay) {
  EXPECT_NO_THROW(validate({}));
  EXPECT_THROW(validate({.betas = {0.9}}), base::ConfigError);
  EXPECT_THROW(validate({.betas = {0.9, 1.0}}), base::ConfigError);
  EXPECT_THROW(validate({.schedule = Schedule::kConstant, .min_lr_ratio = 0.1}), base::ConfigError);
  EXPECT_NO_THROW(validate({.schedule = Schedule::kCosine, .min_lr_ratio = 0.1}));
  EXPECT_THAT(enum_names(Schedule{}), ::testing::ElementsAre("constant", "linear", "cosine"));
}

}  // namespace
}  // namespace grpo::optim
