#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace grpo::verifier {

/// One part of a run of letters that stands outside \text.
struct LetterRun {
  std::string text;
  bool word = false;  // a word with a meaning or a name; else one letter, a variable
};
/// Splits a run of letters into words and the factors of products: "xy" -> x, y; "sinx" -> sin, x; the "pir" of "2pir"
/// -> pi, r; "since" and "pies" stay words. `after_value` says that a value stands before the run, so that it may be a
/// unit.
std::vector<LetterRun> split_letters(std::string_view run, bool after_value);

}  // namespace grpo::verifier
