#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace grpo::verifier {

/// Thrown when a comparison needs more than VerifierOptions::steps or the sizes below allow. verify() catches it and
/// returns Verdict::Kind::kOverBudget.
struct OverBudget : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Thrown when a value at one point is too large to be computed. Unlike a spent budget it says nothing about the rest
/// of the comparison, so a comparison at several points may catch it and go on to the next.
struct ValueTooLarge : OverBudget {
  using OverBudget::OverBudget;
};
/// Thrown when a text is no expression of the grammar in docs/verifier.md.
struct ParseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Thrown when an expression has no value, such as 0/0, log 0 or a root of index 0.
struct Undefined : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Work of one verify() call, counted in steps that take about a microsecond each. No clock is read, so the same input
/// gets the same verdict on every machine.
class Budget {
 public:
  explicit Budget(int64_t steps) : left_(steps) {}
  /// Throws OverBudget when the steps are not left, and at every later call: who catches it cannot go on.
  void spend(int64_t steps) {
    left_ = steps > left_ ? -1 : left_ - steps;
    if (left_ < 0) throw OverBudget("the comparison takes more steps than the budget allows");
  }

 private:
  int64_t left_;
};

// Limits that keep every single step cheap. They are constants, not knobs: raising one changes which inputs end as
// over-budget, never which answers are equal.
inline constexpr size_t kMaxAnswerBytes = 20000;  // the longest gold answer known has under 600
inline constexpr size_t kMaxTokens = 8000;
inline constexpr int kMaxDepth = 100;                          // nested brackets; the parser recurses once per level
inline constexpr int kMaxTreeDepth = 400;                      // a/b/c/d/... nests without brackets
inline constexpr int64_t kMaxExactBits = 200000;               // numerator or denominator of an exact number
inline constexpr int64_t kMaxLogMagnitude = int64_t{1} << 50;  // |log2| of a value that ball arithmetic may touch
inline constexpr int kMaxListLength = 512;

}  // namespace grpo::verifier
