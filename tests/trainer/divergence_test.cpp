#include "trainer/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"

namespace grpo::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const StepSigns kHealthy = {.ratio_max = 1.1, .reward_mean = 0.5, .reward_std = 0.5, .length_mean = 100.0};

// The texts of all findings in `steps` steps that all have these signs, after five healthy ones.
std::vector<std::string> said_of(const StepSigns& signs, int64_t steps) {
  DivergenceWatch watch;
  std::vector<std::string> all;
  for (int64_t step = 1; step <= 5 + steps; ++step) {
    for (auto& finding : watch.look_at(step, step <= 5 ? kHealthy : signs)) all.push_back(std::move(finding.text));
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
  EXPECT_THAT(said_of(with(&StepSigns::reward_std, 0.0), 50),
              ElementsAre(HasSubstr("every reward has been 0.5 since step 6")));
}

TEST(DivergenceWatch, NamesCompletionsThatCollapse) {
  EXPECT_THAT(said_of(with(&StepSigns::length_mean, 5.0), 50), ElementsAre(HasSubstr("(5 of 100 tokens)")));
  EXPECT_TRUE(said_of(with(&StepSigns::length_mean, 50.0), 50).empty());
}

TEST(DivergenceWatch, NamesAGradientThatIsNotFinite) {
  DivergenceWatch watch;
  for (int64_t step = 1; step <= 4; ++step) {
    StepSigns signs = kHealthy;
    signs.skipped_updates = step;
    EXPECT_TRUE(watch.look_at(step, signs).empty());
    EXPECT_TRUE(watch.suspects());
    EXPECT_FALSE(watch.named());
  }
  StepSigns signs = kHealthy;
  signs.skipped_updates = 5;
  const auto found = watch.look_at(5, signs);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kind, Divergence::kNonFinite);
  EXPECT_THAT(found[0].text, HasSubstr("in 5 updates in a row, since step 1"));
  EXPECT_TRUE(watch.named());
}

TEST(DivergenceWatch, GoesOnWhereItWasSaved) {
  DivergenceWatch watch;
  for (int64_t step = 1; step <= 7; ++step)
    watch.look_at(step, step <= 5 ? kHealthy : with(&StepSigns::ratio_max, 1e6));
  auto again = DivergenceWatch::from_json(nlohmann::json::parse(watch.to_json().dump()));
  EXPECT_EQ(again.look_at(8, with(&StepSigns::ratio_max, 1e6)).size(), 1u);
  EXPECT_TRUE(again.look_at(9, with(&StepSigns::ratio_max, 1e6)).empty());
  EXPECT_TRUE(again.look_at(10, with(&StepSigns::length_mean, 5.0)).empty());
  EXPECT_TRUE(again.look_at(11, with(&StepSigns::length_mean, 5.0)).empty());
  EXPECT_EQ(again.look_at(12, with(&StepSigns::length_mean, 5.0)).size(), 1u);
}

TEST(StopOn, KnowsItsNames) {
  EXPECT_NO_THROW(validate_stop_on({"non_finite", "ratio", "constant_reward", "length_collapse"}));
  EXPECT_TRUE(stops_on({"ratio"}, Divergence::kRatio));
  EXPECT_FALSE(stops_on({"ratio"}, Divergence::kNonFinite));
  try {
    validate_stop_on({"constant_rewards"});
    FAIL();
  } catch (const base::ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean constant_reward?"));
  }
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
