#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "verifier/rational.h"

namespace grpo::verifier {

/// A unit as a factor times powers of base dimensions. Words that name no known unit ("apples") are dimensions of their
/// own, so that counts of different things differ.
struct Unit {
  Rational factor{1};
  int pi_power = 0;                       // a degree is pi/180 radians
  std::map<std::string, int> dimensions;  // "m" -> 2 for an area; empty for words such as "each", which say nothing

  bool says_nothing() const { return dimensions.empty(); }
};

/// One unit, by symbol or name, singular or plural; symbols are case-sensitive, names are not. Knows the units of the
/// table, the degree of an angle, mph, kph and mps.
std::optional<Unit> find_unit(std::string_view word);

/// A whole phrase: "cm", "cm^2", "square feet", "miles per hour", "m/s^2", "kg \cdot m", "dollars", "red marbles".
/// nullopt when the phrase is a statement rather than a thing ("or 5", "is wrong", more than four words).
std::optional<Unit> parse_unit(std::string_view phrase);

/// Whether every word of the text is a unit, "per" or a multiplication sign: "m/s^2", "kg\\,m^{-3}".
bool is_unit_formula(std::string_view text);

Unit multiply(const Unit& a, const Unit& b, int power_of_b = 1);

}  // namespace grpo::verifier
