#pragma once

#include <optional>
#include <string_view>

#include "verifier/rational.h"

namespace grpo::verifier {

/// The number that one word or a hyphenated pair names, in any case of letters: "seven", "forty-two", "two-thirds".
std::optional<Rational> number_word(std::string_view word);

/// What a word multiplies the number before it by: "million", "dozen", "crore", and parts: "half", "thirds",
/// "hundredths", "twenty-fifths". nullopt for "second", which is a time, and for words that scale nothing.
std::optional<Rational> scale_word(std::string_view word);

/// Whether a part behind this count may as well be an ordinal, so that the two have no certain value: "twenty fifth",
/// "two hundredth", but not "twenty fifths", "one hundredth", "two third".
bool may_be_ordinal(const Rational& count, std::string_view word);

}  // namespace grpo::verifier
