#include "grpo/data/overlap.h"

#include <gmock/gmock.h>

namespace grpo::data {
namespace {

using ::testing::IsEmpty;

std::vector<Problem> problems_of(const std::vector<std::string>& texts) {
  std::vector<Problem> problems;
  for (const auto& text : texts) problems.push_back({.id = {}, .file = {}, .prompt = text});
  return problems;
}

// "w<first> ... w<first + count - 1>"
std::string words(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i) text += (text.empty() ? "w" : " w") + std::to_string(i);
  return text;
}

TEST(WordsOf, AreLettersAndDigitsInSmallLetters) {
  EXPECT_EQ(words_of("Find $\\frac{1}{2}+X_{10}$, the \n sum!"), "find frac 1 2 x 10 the sum");
  EXPECT_EQ(words_of("  "), "");
  EXPECT_EQ(words_of("x\u2264y \u00B0C caf\u00E9 \u03B1"), "x y c caf\u00E9 \u03B1");
  EXPECT_EQ(words_of("\u6C42x\u7684\u503C\uFF1F"), "\u6C42 x \u7684 \u503C");
  EXPECT_EQ(words_of("\u6C42\u3001\u503C\u3002\u3000x"), "\u6C42 \u503C x");
  EXPECT_EQ(words_of("a\xE6"), "a \xE6");  // cut in the middle of a character
}

TEST(FindOverlap, FindsThirteenWordsInARow) {
  const auto trained = problems_of({words(100, 20), "Before, " + words(0, 13) + " (after)."});
  const auto found = find_overlap(trained, problems_of({"x " + words(0, 12) + " y", "y: " + words(0, 13) + "?"}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].evaluated, 1U);
  EXPECT_EQ(found[0].trained, 1U);
  EXPECT_FALSE(found[0].is_same);
  EXPECT_DOUBLE_EQ(found[0].share, 0.5);  // of "y w0 ... w11" and "w0 ... w12" the second
}

TEST(FindOverlap, KnowsTheSameWordsInAnotherSpelling) {
  const auto found =
      find_overlap(problems_of({"What is $1+1$?"}), problems_of({"what is  \\(1 + 1\\)", "What is 1+2?"}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].is_same);
  EXPECT_EQ(found[0].evaluated, 0U);
  EXPECT_DOUBLE_EQ(found[0].share, 1.0);
}

TEST(FindOverlap, NamesTheTrainingProblemThatSharesMost) {
  const auto trained = problems_of({words(0, 13) + " a", words(50, 30)});
  const auto found = find_overlap(trained, problems_of({words(0, 13) + " b " + words(50, 29)}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].trained, 1U);
}

// "Let's think step by step and output the final answer after ..." is no sign of a copy.
TEST(FindOverlap, PassesOverTheCommonPhrasesOfASet) {
  std::vector<std::string> trained;
  for (int i = 0; i < 10; ++i) trained.push_back("q" + std::to_string(i) + " " + words(0, 14));
  const auto evaluated = problems_of({"mine " + words(0, 14)});
  EXPECT_EQ(find_overlap(problems_of(trained), evaluated).size(), 1U);
  trained.push_back("one more " + words(0, 14));
  EXPECT_THAT(find_overlap(problems_of(trained), evaluated), IsEmpty());
}

}  // namespace
}  // namespace grpo::data
