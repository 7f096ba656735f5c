#pragma once

#include <string_view>

#include "grpo/verifier/verifier.h"

namespace grpo::verifier {

// What else a reward may ask of a response. Like verify(): thread-safe, never throws, linear in the response's length.

/// verify() of the last number of a text alone, whatever else the text holds; the verdict's rule is "last number".
Verdict verify_last_number(std::string_view gold, std::string_view text);

/// Whether a response ends in a complete \boxed{} that is not empty and stands behind its thought.
bool has_boxed_answer(std::string_view text);

}  // namespace grpo::verifier
