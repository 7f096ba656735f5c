#pragma once

#include <optional>
#include <string_view>

#include "verifier/rational.h"

namespace grpo::verifier {

/// The number that one word or a hyphenated pair names, in any case of letters: "seven", "forty-two", "two-thirds".
std::optional<Rational> number_word(std::string_view word);

/// What a word multiplies the number before it by: "million", "dozen", "crore", and parts: "half", "thirds",
/// "hundredths". nullopt for "second", which is a time, and for words that scale nothing.
std::optional<Rational> scale_word(std::string_view word);

}  // namespace grpo::verifier
