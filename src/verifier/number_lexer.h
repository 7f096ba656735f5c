#pragma once

#include <string>
#include <string_view>

#include "verifier/rational.h"

namespace grpo::verifier {

struct NumberText {
  Rational value;
  std::string spelling;        // digits and point, without separators; "8.0(3)" for a repeating decimal
  int significant_digits = 0;  // 0 unless there is a decimal point or an exponent, or when the decimal repeats
  int fraction_digits = 0;
  size_t end = 0;  // behind the number
};

/// Reads a number at `at`: 12, 3.50, .5, 1,234,567, 1{,}234, 1,\!234, "1 234 567", 1.234,56, 2.5e-3, 0.8\overline{3},
/// 0.\dot{3}, 0.333... With commas_group off, a bare comma ends the number.
/// REQUIRES: a digit, or a point and a digit, stands at `at`. Throws OverBudget on too many digits.
NumberText lex_number_text(std::string_view text, size_t at, bool commas_group);

}  // namespace grpo::verifier
