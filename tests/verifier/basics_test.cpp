// What a training loop relies on, whatever else the verifier understands.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "grpo/verifier/verifier.h"

namespace grpo::verifier {
namespace {

using Kind = Verdict::Kind;

struct Case {
  const char* gold;
  const char* text;
  Kind expected;
};

TEST(Verify, JudgesPlainAnswers) {
  const std::vector<Case> cases = {
      {"31", "12 20 24 \\boxed{31}", Kind::kRight},
      {"5", "\\boxed{05}", Kind::kRight},
      {"31", "12 20 24 \\boxed{30}", Kind::kWrong},
      {"0.5", "so \\boxed{\\frac{1}{2}}", Kind::kRight},
      {"\\frac{3}{4}", "\\boxed{3/4}", Kind::kRight},
      {"-2", "\\boxed{2}", Kind::kWrong},
      {"1234567", "\\boxed{1,234,567}", Kind::kRight},
      {"72", "She has 48 + 24 clips.\n#### 72", Kind::kRight},
      {"12", "it is 7, no, 12", Kind::kRight},
      {"5/6", "\\boxed{0.83}", Kind::kWrong},
      {"x+1", "\\boxed{x + 1}", Kind::kRight},
      {"19", "\\boxed{17}, \\boxed{18} and \\boxed{19}", Kind::kWrong},
      {"3", "first \\boxed{2}, better \\boxed{3}", Kind::kRight},
  };
  for (const auto& c : cases) EXPECT_EQ(verify(c.gold, c.text).kind, c.expected) << c.gold << " | " << c.text;
}

TEST(Verify, NeverCallsACutOffBoxRight) {
  EXPECT_NE(verify("31", "12 20 24 \\boxed{31").kind, Kind::kRight);
  EXPECT_NE(verify("31", "31 \\boxed{").kind, Kind::kRight);
}

TEST(Verify, CallsAResponseWithoutAnswerUnparsable) {
  EXPECT_EQ(verify("31", "").kind, Kind::kUnparsable);
  EXPECT_EQ(verify("31", "I do not know").kind, Kind::kUnparsable);
}

TEST(Verify, EndsOnHostileInput) {
  const std::string braces(200000, '{');
  EXPECT_NE(verify("1", "\\boxed" + braces).kind, Kind::kRight);
  EXPECT_NE(verify("1", "\\boxed{" + std::string(200000, '9') + "}").kind, Kind::kRight);
  EXPECT_NE(verify("1", std::string("\\boxed{\0\xff}", 9)).kind, Kind::kRight);
}

}  // namespace
}  // namespace grpo::verifier
