#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace grpo::verifier {

/// A run of letters outside \text: one word, or the factors of a product. `after_value` says that a number or the like
/// stands before it, so that it may be a unit. "xy" -> x, y; "sinx" -> sin, x; "2pir" -> pi, r; "since", "pies" -> a
/// word.
struct LetterRun {
  std::string text;
  bool word = false;  // a word with a meaning or a name; else one letter, a variable
};
std::vector<LetterRun> split_letters(std::string_view run, bool after_value);

}  // namespace grpo::verifier
