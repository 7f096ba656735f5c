#pragma once

#include <string>
#include <string_view>

namespace grpo::verifier {

/// Another value that stands directly behind a box: "\\boxed{\\frac12} or 0.5" is right for both, "\\boxed{5} or 6" and
/// "\\boxed{5} (for even n) or 6" for none. With `letter` the box holds the letter of a choice, and so does the other
/// value. Empty where there is none.
std::string alternative_behind(std::string_view behind, bool letter);

}  // namespace grpo::verifier
