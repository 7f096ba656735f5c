#include "trainer/accuracy_tracker.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace grpo::trainer {
namespace {

TEST(AccuracyTracker, ExpectsHalfOfUnseenPairsToBeDead) {
  const AccuracyTracker tracker;
  EXPECT_DOUBLE_EQ(tracker.dead_probability(3, 2), 0.5);
}

TEST(AccuracyTracker, ExpectsAPromptThatIsAlwaysRightToBeDeadMoreOften) {
  AccuracyTracker tracker;
  tracker.record(3, 2, 2);  // p = (2 + 1) / (2 + 2)
  EXPECT_DOUBLE_EQ(tracker.dead_probability(3, 2), 0.75 * 0.75 + 0.25 * 0.25);
  EXPECT_DOUBLE_EQ(tracker.dead_probability(4, 2), 0.5);
}

TEST(AccuracyTracker, ForgetsOldAnswers) {
  AccuracyTracker tracker;
  tracker.record(0, 0, 2);
  for (int visit = 0; visit < 40; ++visit) tracker.record(0, 2, 2);
  EXPECT_GT(tracker.dead_probability(0, 2), 0.75);
}

TEST(AccuracyTracker, SamplesAroundTheAccuracyAndCloserTheMoreItKnows) {
  AccuracyTracker tracker;
  tracker.record(1, 3, 4);
  for (int visit = 0; visit < 30; ++visit) tracker.record(2, 75, 100);
  EXPECT_FALSE(tracker.knows(0));
  EXPECT_TRUE(tracker.knows(1));
  double spread[3] = {};
  for (uint64_t stream = 0; stream < 2000; ++stream) {
    for (const int64_t row : {1, 2}) spread[row] += std::pow(tracker.sample(row, {1, stream}) - 0.7, 2) / 2000.0;
  }
  EXPECT_LT(std::sqrt(spread[2]), 0.08);
  EXPECT_GT(std::sqrt(spread[1]), 0.12);
  EXPECT_EQ(tracker.sample(1, {1, 2}), tracker.sample(1, {1, 2}));
}

TEST(AccuracyTracker, ComesBackExactlyFromJson) {
  AccuracyTracker tracker;
  tracker.record(5, 1, 3);
  tracker.record(5, 2, 3);
  const auto text = tracker.to_json().dump();
  const auto restored = AccuracyTracker::from_json(nlohmann::json::parse(text));
  EXPECT_EQ(restored.dead_probability(5, 4), tracker.dead_probability(5, 4));
}

}  // namespace
}  // namespace grpo::trainer
