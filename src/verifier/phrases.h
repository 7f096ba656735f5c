#pragma once

#include <vector>

#include "verifier/lexer.h"

namespace grpo::verifier {

/// Rewrites the words of an answer that mean mathematics, so that the parser need not know them: "5 squared" -> 5^{2},
/// "the square root of 2", "x is at least 2" -> x \ge 2, "all real numbers" -> \mathbb{R}, "negative 7" -> -7,
/// "twenty-five". Drops words that say nothing ("the answer is", "exactly", "Final answer:", "... is the answer") and
/// the labels of parts ("(a) 5 (b) 7" -> 5, 7), and makes the words before an equals sign, "is" or a colon one name
/// ("Area of ABC = 84"). Words with no rule stay: the parser takes them for a name or a unit, or refuses them. Returns
/// whether the answer is a list of labelled parts, whose order counts.
bool read_phrases(std::vector<Token>& tokens);

/// Whether a token is a word of at least two letters.
bool is_word(const Token& token);

}  // namespace grpo::verifier
