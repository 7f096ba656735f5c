// How much work a comparison may do must never decide what it finds: with fewer steps a verdict may become over-budget,
// and nothing else.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "grpo/base/random.h"
#include "grpo/verifier/verifier.h"

namespace grpo::verifier {
namespace {

using Kind = Verdict::Kind;

struct Pair {
  std::string gold;
  std::string answer;
  bool equal;
};

// Pairs of functions made of pieces that agree on one side of a far point, keyed by the round so that a failure can be
// repeated. Their length differs widely, so that the budget runs out at every stage of the comparison.
class Pairs {
 public:
  explicit Pairs(uint64_t round) : round_(round) {}

  Pair next() {
    const std::string far = "1" + std::string(3 + pick(16), '0');
    const std::string tail = terms();
    switch (pick(8)) {
      case 0:
        return {"|x-" + far + "|" + tail, far + "-x" + tail, false};
      case 1:
        return {"\\max(x," + far + ")" + tail, far + tail, false};
      case 2:
        return {"\\sqrt{(x-" + far + ")^2}" + tail, "|" + far + "-x|" + tail, true};
      case 3:
        return {"\\lfloor\\frac{x}{" + far + "}\\rfloor+1" + tail, "\\lceil\\frac{x}{" + far + "}\\rceil" + tail,
                false};
      case 4:
        return {"|x-" + far + "|=y" + tail, far + "-x=y" + tail, false};
      case 5:
        return {"(3,|x-" + far + "|" + tail + ")", "(3," + far + "-x" + tail + ")", false};
      case 6:
        return {"\\sum_{k=1}^n k" + tail, "\\frac{n(n+1)}2" + tail, true};
      default:
        return {"\\sqrt2+\\sqrt{" + far + "}" + tail, "\\sqrt{" + far + "}+\\sqrt3" + tail, false};
    }
  }

 private:
  uint64_t pick(uint64_t bound) { return base::uniform_below({.seed = 11, .stream = 3}, round_, position_++, bound); }

  // Up to 40 terms that both sides have in common.
  std::string terms() {
    static const char* kTerms[] = {"+\\sin(#x)", "+e^{x/#}", "+x^{#}", "+\\ln(x^2+#)", "+\\cos^2(#x)"};
    std::string out;
    const uint64_t kind = pick(5);
    const uint64_t count = pick(2) * pick(41);
    for (uint64_t k = 2; k < 2 + count; ++k) {
      const std::string term = kTerms[kind];
      const size_t at = term.find('#');
      out += term.substr(0, at) + std::to_string(k) + term.substr(at + 1);
    }
    return out;
  }

  uint64_t round_;
  uint32_t position_ = 0;
};

Kind judge(const Pair& pair, int64_t steps) {
  return verify(pair.gold, "\\boxed{" + pair.answer + "}", {.steps = steps}).kind;
}

// The largest budget is 20 times the default one, so that nearly every pair gets the verdict of mathematics there.
constexpr int64_t kAmple = 400000;

TEST(Budget, LessOfItNeverTurnsAVerdictIntoAnotherOne) {
  int decided = 0;
  for (uint64_t round = 0; round < 60; ++round) {
    const Pair pair = Pairs(round).next();
    const Kind full = judge(pair, kAmple);
    if (full != Kind::kOverBudget) {
      EXPECT_EQ(full == Kind::kRight, pair.equal) << pair.gold << "  " << pair.answer;
      ++decided;
    }
    // Each step is a quarter larger than the last, from a budget that reads nothing to the default of 20,000 and over.
    for (int64_t steps = 1; steps < 30000; steps += 1 + steps / 4) {
      const Kind kind = judge(pair, steps);
      if (kind != Kind::kOverBudget) {
        EXPECT_EQ(kind, full) << pair.gold << "  " << pair.answer << " at " << steps << " steps";
      }
    }
  }
  EXPECT_GT(decided, 50);
}

// The spent budget was once taken for a point at which the values are too large, so that the rest of the points was
// skipped and the answer was right.
TEST(Budget, RunningOutBeforeTheTellingPointIsNoEquality) {
  std::string sines;
  for (int k = 2; k < 60; ++k) {
    sines += "+\\sin(" + std::to_string(k) + "x)";
    EXPECT_NE(judge({"|x-100000000000|" + sines, "100000000000-x" + sines, false}, 20000), Kind::kRight) << k;
  }
}

}  // namespace
}  // namespace grpo::verifier
