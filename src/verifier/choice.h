#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace grpo::verifier {

/// A multiple-choice answer: "D", "(D)", "D. 42", "(D) 42", "option D", "(A) and (C)".
struct Choice {
  std::string letters;  // all of them, in capitals and in order of the alphabet
  std::string rest;     // the text behind a single letter, if it is given
  bool marked = false;  // brackets, a full stop or the word "option" show that it is a choice, not a variable
  bool settled = true;  // false for "(A) or (B)", "(B) is wrong", "not A": such an answer chooses nothing
};

/// nullopt when the text is no choice. Letters go from A to J; small ones count in brackets only.
std::optional<Choice> parse_choice(std::string_view latex);

/// The letters, in order of the alphabet, of a selection of several choices written without marks, such as "ACD". Empty
/// when the text is no such selection.
std::string bare_selection(std::string_view latex);

}  // namespace grpo::verifier
