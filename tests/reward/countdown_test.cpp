#include "reward/countdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpo/base/error.h"
#include "grpo/reward/reward.h"
#include "support/message_of.h"

namespace grpo::reward {
namespace {

using ::testing::HasSubstr;
using Kind = verifier::Verdict::Kind;

Kind kind(const std::string& text, std::vector<int64_t> numbers = {3, 5, 25}, int64_t target = 60) {
  return judge_countdown({.numbers = std::move(numbers), .target = target}, text).kind;
}

TEST(Countdown, AnExpressionOfAllNumbersThatIsWorthTheTargetIsRight) {
  EXPECT_EQ(kind("<answer>(25 - 5) * 3</answer>"), Kind::kRight);
  EXPECT_EQ(kind("\\boxed{3(25-5)}"), Kind::kUnparsable);  // a product has a sign
  EXPECT_EQ(kind("\\boxed{3 \\times (25-5)}"), Kind::kRight);
  EXPECT_EQ(kind("so it is\n3 \xC3\x97 (25 \xE2\x88\x92 5) = 60"), Kind::kRight);
  EXPECT_EQ(kind("<answer>1+1</answer> no: <answer>(25-5)*3</answer>"), Kind::kRight);
  EXPECT_EQ(kind("\\boxed{1}, <answer>(25-5)*3</answer>"), Kind::kRight);
  EXPECT_EQ(kind("-(5-25)*3"), Kind::kRight);
}

TEST(Countdown, EachNumberIsUsedExactlyOnce) {
  EXPECT_EQ(kind("25+25+5+5"), Kind::kWrong);
  EXPECT_EQ(kind("60"), Kind::kWrong);
  EXPECT_EQ(kind("12*5"), Kind::kWrong);
  EXPECT_EQ(kind("3*(25-5)+0"), Kind::kWrong);
  EXPECT_EQ(kind("5*(5+7)", {5, 5, 7}), Kind::kRight);
  EXPECT_EQ(kind("5*12", {5, 5, 7}), Kind::kWrong);
  EXPECT_EQ(kind("25*3-5*3", {3, 5, 25}), Kind::kWrong);
}

TEST(Countdown, ArithmeticIsExact) {
  EXPECT_EQ(kind("1/3*3", {1, 3, 3}, 1), Kind::kRight);
  EXPECT_EQ(kind("8/(3-8/3)", {3, 3, 8, 8}, 24), Kind::kRight);
  EXPECT_EQ(kind("7/2", {2, 7}, 3), Kind::kWrong);
  EXPECT_EQ(kind("2-3-4", {2, 3, 4}, -5), Kind::kRight);
  EXPECT_EQ(kind("8/2/2", {2, 2, 8}, 2), Kind::kRight);
  EXPECT_EQ(kind("2+3*4", {2, 3, 4}, 14), Kind::kRight);
  EXPECT_EQ(judge_countdown({.numbers = {2, 7}, .target = 3}, "7/2").reason, "its value is 7/2");
}

TEST(Countdown, WhatIsNoExpressionIsUnparsable) {
  for (const char* text : {"", "sixty", "(25-5)*3)", "((25-5)*3", "25 5 3", "3*", "1.5*40", "25**5", "3^2", "1/(5-5)*3",
                           "__import__('os')", "<answer></answer>", "\\boxed{(25-5)*3", "= 60"})
    EXPECT_EQ(kind(text), Kind::kUnparsable) << text;
  EXPECT_EQ(kind("(25-5)*3 = 61"), Kind::kWrong);
  EXPECT_EQ(kind("(25-5)*3 = x"), Kind::kWrong);
  EXPECT_EQ(kind("(25-5)*3 = 30+30"), Kind::kWrong);
}

TEST(Countdown, WorkIsBounded) {
  EXPECT_EQ(kind(std::string(100000, '(')), Kind::kOverBudget);
  EXPECT_EQ(kind(std::string(900, '(') + "1"), Kind::kOverBudget);
  EXPECT_EQ(kind(std::string(900, '-') + "1"), Kind::kOverBudget);
  EXPECT_EQ(kind("9223372036854775807*9223372036854775807"), Kind::kOverBudget);
  EXPECT_EQ(kind("99999999999999999999"), Kind::kOverBudget);
  EXPECT_EQ(kind("1/9223372036854775807/9223372036854775807"), Kind::kOverBudget);
}

TEST(Countdown, IsATermThatReadsTheRow) {
  const RewardConfig config{.terms = {{.type = TermType::kCountdown, .weight = 2.0, .pattern = ""}}};
  const std::vector<std::string> golds = {"60"};
  const Item item{.golds = golds, .row = R"({"nums": [25, 5, 3], "target": 60})", .text = "(25-5)*3"};
  const auto score = make_reward(config)->score({&item, 1}).front();
  EXPECT_EQ(score.reward, 2.0);
  EXPECT_EQ(score.verdict.kind, Kind::kRight);
  EXPECT_EQ(score.verdict.pred_parsed, "(25-5)*3");
  EXPECT_TRUE(needs_whole_rows(config));
  EXPECT_FALSE(uses_graders(config));
  EXPECT_EQ(gold_use(config), verifier::GoldUse::kText);
}

TEST(Countdown, ProblemsThatLackSomethingAreNamed) {
  const RewardConfig config{.terms = {{.type = TermType::kCountdown}}};
  EXPECT_EQ(why_unfit(config, "60", R"({"nums": [3]})"), "");
  EXPECT_THAT(why_unfit(config, "6.5", R"({"nums": [3]})"), HasSubstr("\"6.5\" is no target, expected an integer"));
  for (const char* row : {"", "{}", R"({"nums": 3})", R"({"nums": []})", R"({"nums": [1.5]})", R"({"nums": ["1"]})",
                          R"({"nums": [3, -1]})", R"({"nums": [9223372036854775808]})"})
    EXPECT_THAT(why_unfit(config, "60", row), HasSubstr("the row has no nums, expected a list of 1 to 16")) << row;
  EXPECT_EQ(why_unfit({.terms = {{.type = TermType::kMath}}}, "x", "{}"), "");
}

}  // namespace
}  // namespace grpo::reward
