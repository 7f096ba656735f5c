#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::reward {

/// A fraction in lowest terms with a positive denominator.
struct Fraction {
  int64_t numerator = 0;
  int64_t denominator = 1;
};

/// The exact value of an expression of whole numbers, + - * /, signs and brackets.
struct ExactValue {
  enum class Kind { kValue, kMalformed, kOverBudget };
  Kind kind = Kind::kValue;
  Fraction value = {};
  std::vector<int64_t> numbers = {};  // the numbers that occur in the expression, in their order
  std::string why = {};               // why there is no value
};

/// Evaluates in fractions of 64-bit numbers. Larger numbers, and brackets or signs nested deeper than 100, are over
/// budget. Work is linear in the text.
ExactValue evaluate_exactly(std::string_view text);

}  // namespace grpo::reward
