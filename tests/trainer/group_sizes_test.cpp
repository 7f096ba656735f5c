#include "trainer/group_sizes.h"

#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "support/message_of.h"

namespace grpo::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RolloutConfig predicting(std::optional<int64_t> most = {}) {
  RolloutConfig config{.prompts_per_step = 4};
  config.adaptive = {.mode = AdaptiveMode::kPredict, .max_rollouts = most};
  return config;
}

// A tracker that knows of each row how many of how many answers were right: (right, total).
AccuracyTracker tracker_of(std::vector<std::pair<int64_t, int64_t>> answers) {
  AccuracyTracker tracker;
  for (size_t row = 0; row < answers.size(); ++row) {
    if (answers[row].second > 0) tracker.record(static_cast<int64_t>(row), answers[row].first, answers[row].second);
  }
  return tracker;
}

std::vector<int64_t> sizes(const RolloutConfig& config, const AccuracyTracker& tracker, int64_t rows) {
  GroupSizes next(config, tracker);
  std::vector<int64_t> all;
  for (int64_t row = 0; row < rows; ++row) all.push_back(next.next(row));
  return all;
}

// 1 - p^G - (1 - p)^G is 0.5 at G = 2 for p = 1/2; 0.17, 0.33, 0.55 at G = 2, 4, 8 for p = 3/32; and 0.06, 0.12, 0.22,
// 0.40 at G = 2, 4, 8, 16 for p = 31/32.
TEST(GroupSizes, PredictsTheSmallestThatIsLikelyMixedAndElseTheLargest) {
  const auto tracker = tracker_of({{0, 0}, {15, 30}, {2, 30}, {30, 30}});
  EXPECT_THAT(sizes(predicting(), tracker, 4), ElementsAre(2, 2, 8, 16));
}

TEST(GroupSizes, GoByTheChanceThatIsWanted) {
  auto config = predicting();
  config.adaptive.min_mixed = 0.3;
  EXPECT_THAT(sizes(config, tracker_of({{0, 0}, {15, 30}, {2, 30}, {30, 30}}), 4), ElementsAre(2, 2, 4, 16));
}

TEST(GroupSizes, LeaveTheSmallestForEveryPromptOfTheStep) {
  const auto tracker = tracker_of({{30, 30}, {30, 30}, {30, 30}, {30, 30}});
  EXPECT_THAT(sizes(predicting(24), tracker, 4), ElementsAre(16, 4, 2, 2));
  EXPECT_THAT(sizes(predicting(8), tracker, 4), ElementsAre(2, 2, 2, 2));
}

TEST(GroupSizes, AreThoseOfTheConfigurationOtherwise) {
  const RolloutConfig fixed{.group_size = 5};
  EXPECT_THAT(sizes(fixed, {}, 2), ElementsAre(5, 5));
  RolloutConfig extend;
  extend.adaptive = {.mode = AdaptiveMode::kExtend, .choices = {4, 8}};
  EXPECT_THAT(sizes(extend, tracker_of({{30, 30}}), 2), ElementsAre(4, 4));
  EXPECT_EQ(largest_size(extend), 8);
  EXPECT_EQ(next_size(extend, 4), 8);
  EXPECT_EQ(next_size(extend, 8), 0);
  EXPECT_EQ(next_size(fixed, 5), 0);
}

TEST(GroupSizes, CompareAllOrTheLastExtensionAlone) {
  RolloutConfig config;
  config.adaptive = {.mode = AdaptiveMode::kExtend, .choices = {2, 4, 8}};
  EXPECT_EQ(first_compared(config, 8), 0);
  config.adaptive.advantage_from = AdvantageFrom::kLastExtension;
  EXPECT_EQ(first_compared(config, 2), 0);
  EXPECT_EQ(first_compared(config, 4), 2);
  EXPECT_EQ(first_compared(config, 8), 4);
}

TEST(GroupSizes, RefuseWhatCannotBe) {
  const auto message = [](const RolloutConfig& config) {
    return testing::message_of<base::ConfigError>([&] { validate_groups(config); });
  };
  auto config = predicting();
  for (const auto& choices : {std::vector<int64_t>{}, {1, 2}, {4, 2}, {2, 2}}) {
    config.adaptive.choices = choices;
    EXPECT_THAT(message(config), HasSubstr("rollout.adaptive.choices"));
  }
  EXPECT_THAT(message(predicting(7)), HasSubstr("rollout.adaptive.max_rollouts 7 is less than the 8 rollouts"));
  RolloutConfig resample{.prompts_per_step = 4, .group_size = 2};
  resample.resample.max_rollouts = 7;
  EXPECT_THAT(message(resample), HasSubstr("rollout.resample.max_rollouts 7 is less than the 8 rollouts"));
  resample.resample.max_rollouts = 8;
  EXPECT_EQ(message(resample), "no error");
  resample.adaptive.mode = AdaptiveMode::kExtend;
  EXPECT_THAT(message(resample), HasSubstr("either extended or replaced"));
  resample = {.prompts_per_step = 4, .group_size = 1};
  resample.resample.max_rollouts = 8;
  EXPECT_THAT(message(resample), HasSubstr("a group of one is never tied"));
}

}  // namespace
}  // namespace grpo::trainer
