#include <gmock/gmock.h>

#include "grpo/verifier/gold.h"

namespace grpo::verifier {
namespace {

using ::testing::HasSubstr;

std::vector<BadGold> check(const std::vector<std::string>& golds) {
  std::vector<std::vector<std::string>> lists;
  for (const auto& gold : golds) lists.push_back({gold});
  return check_golds(lists, default_placeholders());
}

TEST(CheckGolds, AcceptsAnswersThatARightCompletionMatches) {
  EXPECT_TRUE(
      check({"42", "\\frac{1}{2}", "$x=3$", "\\text{even}", "(1,2]", "x^2 + 1", "3, 5 and 7", "\\boxed{5}"}).empty());
}

// The forms in which public data sets keep worked solutions.
TEST(CheckGolds, AcceptsSolutionsThatSayTheirAnswer) {
  EXPECT_TRUE(check({"First $2+2=4$, then $4+3$.\nSo it is $\\boxed{7}$.", "Two and <<2+5=7>>7.\n#### 7",
                     "<answer>7</answer>", "<think>2+5</think><answer>\n7\n</answer>", "So $x=7$.", "The answer is 7.",
                     "Adding up, we get 7. The final answer is $7$."})
                  .empty());
}

TEST(CheckGolds, ListsTheOnesThatCannotBeMatched) {
  const auto bad = check({"42", "", "7", "\\boxed{\\frac{1}{2}", "Anna has 5 apples left."});
  ASSERT_EQ(bad.size(), 3u);
  EXPECT_EQ(bad[0].index, 1u);
  EXPECT_TRUE(bad[0].missing);
  EXPECT_EQ(bad[1].index, 3u);
  EXPECT_FALSE(bad[1].missing);
  EXPECT_FALSE(bad[1].verdict.reason.empty());
  EXPECT_THAT(bad[2].verdict.reason, HasSubstr("\\boxed{5} would be judged wrong"));
}

// They equal themselves, but no right completion equals them.
TEST(CheckGolds, RefusesWhatIsNoAnswerToAProblem) {
  for (const char* gold : {"12+5=",
                           "12 + 5 = ?",
                           "x=",
                           "$12+5=$",
                           "3\\times",
                           "What is 3+4?",
                           "What is 3+4",
                           "Find the sum of 3 and 4",
                           "How many apples are there",
                           "Prove that $2>1$.",
                           "求x的值",
                           "3与4的和是多少",
                           "3 + __ = 7",
                           "3+\\underline{\\hspace{1cm}}=7",
                           "\\frac{1}{",
                           "3 <",
                           "{\"ground_truth\": \"34\"}",
                           "{'answer': '34'}",
                           "[{'role': 'user', 'content': '2+2'}]",
                           "<answer>12+5=</answer>"}) {
    const auto bad = check({gold});
    ASSERT_EQ(bad.size(), 1u) << gold;
    EXPECT_FALSE(bad[0].missing) << gold;
    EXPECT_NE(bad[0].verdict.kind, Verdict::Kind::kRight) << gold;
    EXPECT_FALSE(bad[0].verdict.reason.empty()) << gold;
  }
}

TEST(CheckGolds, AcceptsAnswersThatLookLikeProblems) {
  for (const char* gold : {"12+5",
                           "3+4=7",
                           "=",
                           "<",
                           "\\times",
                           "C++",
                           "A+",
                           "Na^+",
                           "B-",
                           "if $n$ is odd, 2",
                           "\\{1, 2\\}",
                           "\\left\\{x \\mid x>0\\right\\}",
                           "Whitehead",
                           "findings",
                           "[\"18\"]",
                           "all $x$ for which $x>0$",
                           "Howard",
                           "a_1",
                           "\\underline{5}",
                           "x<3",
                           "\\begin{pmatrix} -1 & 0 \\\\ 0 & -1 \\end{pmatrix}."}) {
    EXPECT_TRUE(check({gold}).empty()) << gold;
  }
}

// Also where a math term would demand a box: a numeric one never does.
TEST(CheckGolds, AsksForANumberWhereOnlyTheLastNumberIsRead) {
  for (const VerifierOptions& config : {VerifierOptions{}, VerifierOptions{.fallbacks = {}}}) {
    const auto bad = check_golds({{"17"},
                                  {"\\frac{12}{5}"},
                                  {"1,234"},
                                  {"-3.5"},
                                  {"A"},
                                  {"\\text{even}"},
                                  {"$\\frac12$"},
                                  {"#### 7"},
                                  {"25\\%"}},
                                 default_placeholders(), config, GoldUse::kNumber);
    ASSERT_EQ(bad.size(), 2u);
    EXPECT_EQ(bad[0].index, 4u);
    EXPECT_EQ(bad[1].index, 5u);
    EXPECT_THAT(bad[0].verdict.reason, HasSubstr("no number"));
  }
}

TEST(CheckGolds, TakesAnyTextWhereTextsAreCompared) {
  EXPECT_TRUE(check_golds({{"12+5="}, {"proof"}, {"What?"}}, default_placeholders(), {}, GoldUse::kText).empty());
  EXPECT_EQ(check_golds({{" "}}, default_placeholders(), {}, GoldUse::kText).size(), 1u);
  EXPECT_TRUE(check_golds({{" "}}, default_placeholders(), {}, GoldUse::kNone).empty());
}

TEST(CheckGolds, CountsPlaceholdersAsMissing) {
  for (const char* gold : {"proof", "Proof", "\\text{Proof}", "nan", "NaN", "None", "null", "N/A", "notfound",
                           "not found", " ", "\\boxed{proof}", "Proof."}) {
    const auto bad = check({gold});
    ASSERT_EQ(bad.size(), 1u) << gold;
    EXPECT_TRUE(bad[0].missing) << gold;
  }
  EXPECT_TRUE(check_golds({{"none"}}, {}).empty());  // where it is an answer
  EXPECT_TRUE(check({"waterproof", "\\text{none of these}", "\\emptyset"}).empty());
}

TEST(CheckGolds, NeedsOneOfSeveralRightAnswers) {
  EXPECT_TRUE(check_golds({{"nan", "7"}, {"1/2", "0.5"}}, default_placeholders()).empty());
  EXPECT_EQ(check_golds({{"nan", ""}}, default_placeholders()).size(), 1u);
}

TEST(ExtractGold, NamesTheRule) {
  const auto rule = [](const char* gold) { return extract_gold(gold).rule; };
  EXPECT_EQ(rule("so \\boxed{7}"), "box");
  EXPECT_EQ(rule("<answer>7</answer>"), "answer tag");
  EXPECT_EQ(rule("bla\n#### 7"), "####");
  EXPECT_EQ(rule("The answer is 7"), "phrase");
  EXPECT_EQ(rule("Thus $x=7$."), "math");
  EXPECT_EQ(rule("7"), "whole");
}

// A formula inside of an answer in words is not the answer.
TEST(ExtractGold, LeavesAnswersInWordsWhole) {
  for (const char* gold : {"increasing on $(0,1)$", "$5$ apples and $3$ oranges", "a circle of radius $5$", "7 or $x$"})
    EXPECT_EQ(extract_gold(gold).rule, "whole") << gold;
}

TEST(Verify, ReadsTheGoldByTheSameRules) {
  EXPECT_EQ(verify("<answer>7</answer>", "\\boxed{7}").kind, Verdict::Kind::kRight);
  EXPECT_EQ(verify("So $x=7$.", "\\boxed{7}").kind, Verdict::Kind::kRight);
  EXPECT_EQ(verify("So $x=7$.", "\\boxed{8}").kind, Verdict::Kind::kWrong);
}

}  // namespace
}  // namespace grpo::verifier
