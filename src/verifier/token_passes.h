#pragma once

#include <vector>

#include "verifier/lexer.h"

namespace grpo::verifier {

/// \frac12 and \binom42 take one digit for each argument, as TeX does: the number behind them becomes several tokens.
void split_digit_arguments(std::vector<Token>& tokens);

/// AB \cdot CD is a product of two segments, not of four numbers: where a text multiplies and has different pairs of
/// capitals, each pair becomes one symbol, its letters in the order of the alphabet.
void join_segments(std::vector<Token>& tokens);

/// AB/CD divides one pair of capitals by another: the second pair gets braces, as in \frac{AB}{CD}.
void group_divisors(std::vector<Token>& tokens);

/// log2(5) and log10(5) have bases, and 3 + 4*I, as a whole answer, is a complex number.
void read_python_names(std::vector<Token>& tokens);

/// {{x}} and ((x)) say no more than {x} and (x). Linear, so that hundreds of them cost no depth of the parser.
void drop_double_brackets(std::vector<Token>& tokens);

}  // namespace grpo::verifier
