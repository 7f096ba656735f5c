#include "trainer/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grpo::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const StepSigns kHealthy = {.ratio_max = 1.1, .reward_mean = 0.5, .reward_std = 0.5, .length_mean = 100.0};

// Everything said in `steps` steps that all look like `signs`, after five healthy ones.
std::vector<std::string> said_of(const StepSigns& signs, int64_t steps) {
  DivergenceWatch watch;
  std::vector<std::string> all;
  for (int64_t step = 1; step <= 5 + steps; ++step) {
    for (auto& text : watch.look_at(step, step <= 5 ? kHealthy : signs)) all.push_back(std::move(text));
  }
  return all;
}

StepSigns with(double StepSigns::*field, double value) {
  StepSigns signs = kHealthy;
  signs.*field = value;
  return signs;
}

TEST(DivergenceWatch, SaysNothingOfAHealthyRun) { EXPECT_TRUE(said_of(kHealthy, 100).empty()); }

TEST(DivergenceWatch, NamesARatioThatExplodes) {
  EXPECT_TRUE(said_of(with(&StepSigns::ratio_max, 1e6), 2).empty());
  EXPECT_THAT(said_of(with(&StepSigns::ratio_max, 1e6), 50), ElementsAre(HasSubstr("above 100 since step 6")));
}

TEST(DivergenceWatch, NamesRewardsThatAreAlwaysTheSame) {
  EXPECT_TRUE(said_of(with(&StepSigns::reward_std, 0.0), 9).empty());
  EXPECT_THAT(said_of(with(&StepSigns::reward_std, 0.0), 50), ElementsAre(HasSubstr("every reward has been 0.5 since step 6")));
}

TEST(DivergenceWatch, NamesCompletionsThatCollapse) {
  EXPECT_THAT(said_of(with(&StepSigns::length_mean, 5.0), 50), ElementsAre(HasSubstr("(5 of 100 tokens)")));
  EXPECT_TRUE(said_of(with(&StepSigns::length_mean, 50.0), 50).empty());
}

TEST(DivergenceWatch, NamesASignAgainAfterItHadEnded) {
  DivergenceWatch watch;
  int times = 0;
  for (int64_t step = 1; step <= 20; ++step) {
    times += static_cast<int>(watch.look_at(step, step == 10 ? kHealthy : with(&StepSigns::ratio_max, 1e6)).size());
  }
  EXPECT_EQ(times, 2);
}

}  // namespace
}  // namespace grpo::trainer
