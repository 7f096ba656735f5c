#include "grpo/base/text.h"

#include <gtest/gtest.h>

namespace grpo::base {
namespace {

TEST(NearestName, FindsAMisspelledName) {
  const std::vector<std::string> names = {"clip_high", "clip_low", "aggregation"};
  EXPECT_EQ(nearest_name("clip_hgih", names), "clip_high");
  EXPECT_EQ(nearest_name("cliplow", names), "clip_low");
  EXPECT_EQ(nearest_name("agregation", names), "aggregation");
  EXPECT_EQ(nearest_name("clip_low", names), "clip_low");
}

TEST(NearestName, IsEmptyWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("temperature", {"clip_high", "lr"}), "");
  EXPECT_EQ(nearest_name("lr", {}), "");
}

TEST(DidYouMean, SuggestsOrListsWhatIsKnown) {
  EXPECT_EQ(did_you_mean("promt", {"prompt", "answer"}), " (did you mean prompt?)");
  EXPECT_EQ(did_you_mean("zzzzzz", {"prompt", "answer"}), " (known: prompt, answer)");
}

TEST(Join, PutsSeparatorsBetween) {
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join({"a"}, ", "), "a");
  EXPECT_EQ(join({"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(join({"", "a", ""}, ","), ",a,");
  EXPECT_EQ(join({"", ""}, ","), ",");
}

TEST(Trimmed, LeavesInnerSpace) {
  EXPECT_EQ(trimmed(" \t a b\r\n"), "a b");
  EXPECT_EQ(trimmed("a"), "a");
  EXPECT_EQ(trimmed(" \n "), "");
  EXPECT_EQ(trimmed(""), "");
}

}  // namespace
}  // namespace grpo::base
