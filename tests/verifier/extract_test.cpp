#include "verifier/extract.h"

#include <gtest/gtest.h>

#include "verifier/response.h"

namespace grpo::verifier {
namespace {

Extraction take(const std::string& text) { return extract_answer(text, VerifierOptions{}); }

TEST(Extract, TheLastCompleteBoxDecides) {
  const auto found = take("\\boxed{1} is wrong. It is \\boxed{\\frac{1}{2}}.");
  EXPECT_EQ(found.rule, "box");
  EXPECT_EQ(found.candidates, std::vector<std::string>{"\\frac{1}{2}"});
}

TEST(Extract, AnUnfinishedBoxMeansTheResponseWasCutOff) {
  const auto found = take("\\boxed{1} or rather \\boxed{2");
  EXPECT_TRUE(found.candidates.empty());
  EXPECT_NE(found.reason.find("cut off"), std::string::npos);
}

TEST(Extract, AnEarlierUnfinishedBoxDoesNotHideTheLastOne) {
  EXPECT_EQ(take("\\boxed{1, then \\boxed{2}").candidates[0], "2");
}

TEST(Extract, BoxesJoinedByWordsAreOneList) {
  EXPECT_EQ(take("\\boxed{1} and \\boxed{2}").rule, "boxes");
  EXPECT_EQ(take("\\boxed{1}, so \\boxed{2}").rule, "box");
  EXPECT_EQ(take("\\boxed{1}. And \\boxed{2}").rule, "box");
}

TEST(Extract, RulesInTheirOrder) {
  EXPECT_EQ(take("The answer is 4. <answer>5</answer>").rule, "answer tag");
  EXPECT_EQ(take("The answer is 4.").rule, "phrase");
  EXPECT_EQ(take("The answer is 4.\n#### 5").rule, "####");
  EXPECT_EQ(take("2+3").rule, "whole");
  EXPECT_EQ(take("We find that $x = 5$.").rule, "math");
  EXPECT_EQ(take("We are left with 5 of them here.").rule, "last number");
  EXPECT_TRUE(take("We are left with none of them here.").candidates.empty());
}

TEST(Extract, FallbacksAreConfigurable) {
  VerifierOptions boxes_only;
  boxes_only.fallbacks = {};
  EXPECT_EQ(verify("5", "The answer is 5.", boxes_only).kind, Verdict::Kind::kUnparsable);
  EXPECT_EQ(verify("5", "\\boxed{5}", boxes_only).kind, Verdict::Kind::kRight);
}

TEST(Extract, TheLastValueTakesItsOperators) {
  size_t at = 0;
  EXPECT_EQ(last_value("from 3 to -1,250.5 kg", at), "-1,250.5 kg");
  EXPECT_EQ(last_value("x2 and H2O", at), "");
  EXPECT_EQ(last_value("5-3", at), "5-3");
  EXPECT_EQ(last_value("a 3/4 share", at), "3/4");
  EXPECT_EQ(last_value("we get - 8", at), "- 8");
  EXPECT_EQ(last_value("We get (3, 8).", at), "(3, 8)");
  EXPECT_EQ(last_value("a profit of $245 - $160 = $85.", at), "$85");
}

TEST(Extract, ANumberWithAnotherRoleIsNoValue) {
  size_t at = 0;
  for (const char* text : {"less than 8", "see Theorem 8", "the 8th", "3 or 8", "a multiple of 8", "8 is wrong",
                           "the square root of 8", "an 8-digit number", "it is not 8"}) {
    EXPECT_EQ(last_value(text, at), "") << text;
  }
}

TEST(Extract, ABoxIsReadWithItsFormula) {
  EXPECT_EQ(take("$-\\boxed{7}$").candidates[0], "-{7}");
  EXPECT_EQ(take("$x = \\frac{\\boxed{7}}{2}$").candidates[0], "\\frac{{7}}{2}");
  EXPECT_EQ(take("$x = \\boxed{7}$").candidates[0], "7");
  EXPECT_EQ(take("so - \\boxed{7}.").candidates[0], "7");
  EXPECT_EQ(take("$1\\boxed{7}$").candidates[0], "17");
}

TEST(Extract, ADeniedBoxIsNoAnswer) {
  for (const char* text : {"\\boxed{8} is wrong", "not $\\boxed{8}$", "答案不是 $\\boxed{8}$。",
                           "It is false that the answer is \\boxed{8}.", "~~\\boxed{8}~~", "Is it \\boxed{8}?"}) {
    EXPECT_TRUE(take(text).candidates.empty()) << text;
  }
  EXPECT_EQ(take("It is \\boxed{9} rather than \\boxed{8}.").candidates[0], "9");
  EXPECT_EQ(take("\\boxed{8} is wrong. The answer is 9.").candidates[0], "9");
}

TEST(Extract, VisiblePartDropsThoughtsCodeAndLaterTurns) {
  EXPECT_EQ(visible_part("<think>a</think>b").text, "b");
  EXPECT_TRUE(visible_part("a <think>b").unfinished_thought);
  EXPECT_EQ(visible_part("<|im_start|>assistant\na<|im_end|>\n<|im_start|>user\nb").text, "\na");
  EXPECT_EQ(visible_part("a\n```\nb\n```\nc").text.find('b'), std::string::npos);
}

}  // namespace
}  // namespace grpo::verifier
