// What must hold for any expression: equality is reflexive and symmetric, spelling does not matter, digits do.
#include <gtest/gtest.h>

#include <string>

#include "grpo/base/random.h"
#include "grpo/verifier/verifier.h"

namespace grpo::verifier {
namespace {

// Random expressions, keyed by (round, position), so that a failure can be repeated.
class Generator {
 public:
  explicit Generator(uint64_t round) : round_(round) {}

  std::string expression(int depth) {
    if (depth == 0) return leaf();
    switch (pick(9)) {
      case 0:
        return expression(depth - 1) + "+" + expression(depth - 1);
      case 1:
        return "\\left(" + expression(depth - 1) + "\\right)\\cdot\\left(" + expression(depth - 1) + "\\right)";
      case 2:
        return "\\frac{" + expression(depth - 1) + "}{" + positive() + "}";
      case 3:
        return "\\sqrt{" + positive() + "}";
      case 4:
        return "\\left(" + expression(depth - 1) + "\\right)^{" + std::to_string(2 + pick(3)) + "}";
      case 5:
        return "\\sin\\left(" + expression(depth - 1) + "\\right)";
      case 6:
        return "\\ln " + positive();
      case 7:
        return positive() + "-" + expression(depth - 1);
      default:
        return leaf();
    }
  }

  uint64_t pick(uint64_t bound) { return base::uniform_below({.seed = 7, .stream = 1}, round_, position_++, bound); }

 private:
  std::string positive() { return std::to_string(2 + pick(97)); }
  std::string leaf() {
    static const char* kLeaves[] = {"x", "y", "n", "\\pi", "a_{1}"};
    return pick(2) == 0 ? positive() : kLeaves[pick(5)];
  }

  uint64_t round_;
  uint32_t position_ = 0;
};

Verdict::Kind judge(const std::string& gold, const std::string& answer) {
  return verify(gold, "\\boxed{" + answer + "}").kind;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// Spaces around operators and brackets, none inside numbers or commands.
std::string spaced(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '+' || c == '-' ? std::string(" ") + c + "\\, " : std::string(1, c);
  return out;
}

constexpr uint64_t kRounds = 300;

TEST(Properties, EqualityIsReflexive) {
  for (uint64_t round = 0; round < kRounds; ++round) {
    const std::string text = Generator(round).expression(3);
    // An added zero keeps the comparison of spellings from answering.
    EXPECT_EQ(judge(text, "0+" + text), Verdict::Kind::kRight) << text;
  }
}

TEST(Properties, EqualityIsSymmetric) {
  for (uint64_t round = 0; round < kRounds; ++round) {
    const std::string a = Generator(2 * round).expression(2);
    const std::string b = Generator(2 * round + 1).expression(1);
    EXPECT_EQ(judge(a, b) == Verdict::Kind::kRight, judge(b, a) == Verdict::Kind::kRight) << a << "  " << b;
  }
}

TEST(Properties, SpellingChangesNothing) {
  for (uint64_t round = 0; round < kRounds; ++round) {
    const std::string text = Generator(round).expression(3);
    for (const std::string& other :
         {spaced(text), replaced(text, "\\frac", "\\dfrac"), replaced(replaced(text, "\\left", ""), "\\right", ""),
          "{" + text + "}", "$" + text + "$", text + "."}) {
      EXPECT_EQ(judge(text, other), Verdict::Kind::kRight) << text << "  " << other;
    }
  }
}

TEST(Properties, ADifferentDigitIsADifferentNumber) {
  for (uint64_t round = 0; round < kRounds; ++round) {
    Generator generator(round);
    std::string number = std::to_string(1 + generator.pick(9));
    const auto length = generator.pick(30);
    for (uint64_t i = 0; i < length; ++i) number += static_cast<char>('0' + generator.pick(10));
    if (generator.pick(2) == 0 && number.size() > 2) number.insert(number.size() / 2, ".");
    std::string other = number;
    size_t at = generator.pick(number.size());
    if (other[at] == '.') at = 0;
    other[at] = static_cast<char>('0' + (other[at] - '0' + 1 + static_cast<int>(generator.pick(8))) % 10);
    const size_t significant = number.find('.') == std::string::npos ? 0 : at;
    // Behind the tenth digit of a decimal a difference may pass as rounding.
    if (significant >= 9) continue;
    EXPECT_EQ(judge(number, number + "+0"), Verdict::Kind::kRight) << number;
    EXPECT_EQ(judge(number, other), Verdict::Kind::kWrong) << number << "  " << other;
  }
}

TEST(Properties, AddingOneIsNeverEqual) {
  for (uint64_t round = 0; round < kRounds; ++round) {
    const std::string text = Generator(round).expression(3);
    EXPECT_NE(judge(text, text + "+1"), Verdict::Kind::kRight) << text;
    EXPECT_NE(judge(text, text + "+\\frac{1}{10^{40}}"), Verdict::Kind::kRight) << text;
  }
}

// A policy that repeats the problem must not be paid for it.
TEST(Properties, ARepeatedProblemIsNoAnswer) {
  struct Problem {
    const char *text, *answer;
  };
  const Problem problems[] = {{"98 + 77", "175"},
                              {"98 - 77", "21"},
                              {"12 \\times 4", "48"},
                              {"12 × 4", "48"},
                              {"24 ÷ 4", "6"},
                              {"2^{10}", "1024"},
                              {"sqrt(16)", "4"},
                              {"\\sqrt{16}", "4"},
                              {"gcd(12, 18)", "6"},
                              {"5!", "120"},
                              {"\\binom{5}{2}", "10"},
                              {"3 + 4 * 5", "23"},
                              {"\\frac12+\\frac13", "5/6"},
                              {"|3 - 5|", "2"},
                              {"\\log_2 8", "3"},
                              {"7 \\bmod 4", "3"}};
  const char* const texts[] = {"To compute @ we",
                               "Let's look at @ closely",
                               "What is @?",
                               "First, @ is to be found",
                               "Computing $@$ step by step",
                               "We have to work out @",
                               "Here @ must be evaluated",
                               "We consider @.",
                               "Given @",
                               "It asks for \\(@\\) and",
                               "- @ and more"};
  for (const auto& problem : problems) {
    for (const std::string text : texts) {
      const std::string response = replaced(text, "@", problem.text);
      EXPECT_NE(verify(problem.answer, response).kind, Verdict::Kind::kRight) << response;
      EXPECT_EQ(verify(problem.answer, response + "\n\nSo it is " + problem.answer + ".").kind, Verdict::Kind::kRight)
          << response;
    }
    for (const std::string text : {"@", "$@$", "The answer is @.", "\\boxed{@}", "#### @", "@ = @", "Problem: @"}) {
      const std::string response = replaced(text, "@", problem.text);
      EXPECT_NE(verify(problem.answer, response, {.calculations = false}).kind, Verdict::Kind::kRight) << response;
    }
  }
  EXPECT_EQ(verify("175", "\\boxed{98 + 77 = 175}", {.calculations = false}).kind, Verdict::Kind::kRight);
}

}  // namespace
}  // namespace grpo::verifier
