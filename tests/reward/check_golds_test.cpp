#include "grpo/reward/reward.h"

#include <gtest/gtest.h>

namespace grpo::reward {
namespace {

TEST(CheckGolds, AcceptsAnswersThatVerifyAgainstThemselves) {
  EXPECT_TRUE(check_golds({"42", "\\frac{1}{2}", "$x=3$", "\\text{even}", "(1,2]", "x^2 + 1", "3, 5 and 7", "\\boxed{5}"}).empty());
}

TEST(CheckGolds, ListsTheOnesThatCannot) {
  const auto bad = check_golds({"42", "", "7", "\\boxed{\\frac{1}{2}"});
  ASSERT_EQ(bad.size(), 2u);
  EXPECT_EQ(bad[0].index, 1u);
  EXPECT_EQ(bad[1].index, 3u);
  EXPECT_FALSE(bad[0].verdict.reason.empty());
}

}  // namespace
}  // namespace grpo::reward
