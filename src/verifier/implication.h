#pragma once

#include <string_view>

namespace grpo::verifier {

/// What the last implication of an answer concludes from an equation or inequality: x = 3 of "2x = 6 \\implies x = 3".
/// Empty where there is none, where the arrow is struck, and where it says nothing ("A \\implies 3") or contradicts
/// itself ("x = 4 \\implies x = 3").
std::string_view conclusion_of(std::string_view text);

}  // namespace grpo::verifier
