#pragma once

#include <string_view>

#include "grpo/verifier/verifier.h"

namespace grpo::verifier {

// What a reward may ask of a response besides verify(). Both functions are, like verify(), thread-safe, never throw and
// take time linear in the response's length.

/// verify() of nothing but the last number of the text: boxes and answer phrases do not matter. The verdict's rule is
/// "last number", its kind kUnparsable when there is no number or words such as "at least" change it.
Verdict verify_last_number(std::string_view gold, std::string_view text);

/// Whether the text behind the thought of a response has a \boxed{} and its last one is closed and not empty.
bool has_boxed_answer(std::string_view text);

}  // namespace grpo::verifier
