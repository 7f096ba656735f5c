#pragma once

#include <string_view>

namespace grpo::verifier {

/// Whether words make a box a part of something else: "minus \boxed{5}", "\boxed{5} thirds", "\boxed{5} or 6".
bool box_changed(std::string_view before, std::string_view behind);

/// Whether a text that goes on with a value says of it what is not said of the answer itself: "Twice the answer is",
/// "the answer minus 1 is", "It is unclear whether the answer is".
bool speaks_of_the_answer(std::string_view before);

/// Whether the words right before a number show that the number is not the answer: "less than 5", "the square root of
/// 5", "Theorem 5", "half of 5".
bool changed_before(std::string_view before);
/// The same of the words right behind a number: "5 factorial", "5-digit", "5 times".
bool changed_behind(std::string_view behind);

}  // namespace grpo::verifier
