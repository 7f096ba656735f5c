#include "reward/extract.h"

#include <gtest/gtest.h>

#include "reward/response.h"

namespace grpo::reward {
namespace {

Extraction take(const std::string& text) { return extract_answer(text, VerifierConfig{}); }

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

TEST(Extract, AnEarlierUnfinishedBoxDoesNotHideTheLastOne) { EXPECT_EQ(take("\\boxed{1, then \\boxed{2}").candidates[0], "2"); }

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
  VerifierConfig boxes_only;
  boxes_only.fallbacks = {};
  EXPECT_EQ(verify("5", "The answer is 5.", boxes_only).kind, Verdict::Kind::kUnparsable);
  EXPECT_EQ(verify("5", "\\boxed{5}", boxes_only).kind, Verdict::Kind::kRight);
}

TEST(Extract, LastNumberIsNoPartOfAWord) {
  size_t at = 0;
  EXPECT_EQ(last_number("from 3 to -1,250.5 kg", at), "-1,250.5");
  EXPECT_EQ(last_number("x2 and H2O", at), "");
  EXPECT_EQ(last_number("5-3", at), "3");
  EXPECT_EQ(last_number("a 3/4 share", at), "3/4");
}

TEST(Extract, VisiblePartDropsThoughtsCodeAndLaterTurns) {
  EXPECT_EQ(visible_part("<think>a</think>b").text, "b");
  EXPECT_TRUE(visible_part("a <think>b").unfinished_thought);
  EXPECT_EQ(visible_part("<|im_start|>assistant\na<|im_end|>\n<|im_start|>user\nb").text, "\na");
  EXPECT_EQ(visible_part("a\n```\nb\n```\nc").text.find('b'), std::string::npos);
}

}  // namespace
}  // namespace grpo::reward
