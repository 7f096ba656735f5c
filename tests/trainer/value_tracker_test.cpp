#include "trainer/value_tracker.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace grpo::trainer {
namespace {

TEST(ValueTracker, BeginsWithWhatTheFirstRewardWasComparedWith) {
  ValueTracker tracker;
  EXPECT_FALSE(tracker.of(3));
  tracker.record(3, 1.0, 0.25);
  EXPECT_DOUBLE_EQ(*tracker.of(3), (0.7 * 2.0 * 0.25 + 1.0) / (0.7 * 2.0 + 1.0));
  EXPECT_FALSE(tracker.of(4));
}

TEST(ValueTracker, ForgetsOldRewardsAndTakesAnyNumber) {
  ValueTracker tracker;
  for (int visit = 0; visit < 40; ++visit) tracker.record(0, -3.5, 100.0);
  EXPECT_NEAR(*tracker.of(0), -3.5, 1e-3);
}

TEST(ValueTracker, ComesBackExactlyFromJson) {
  ValueTracker tracker;
  tracker.record(5, 0.1, 0.3);
  tracker.record(5, 0.7, 0.0);
  const auto restored = ValueTracker::from_json(nlohmann::json::parse(tracker.to_json().dump()));
  EXPECT_EQ(*restored.of(5), *tracker.of(5));
}

}  // namespace
}  // namespace grpo::trainer
