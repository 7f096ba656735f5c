#pragma once

#include <optional>
#include <string_view>

#include "verifier/units.h"

namespace grpo::verifier {

/// A unit by symbol or name, singular or plural, with an SI prefix where one may stand; nullopt for any other word.
/// Symbols keep their case (mm, Mm), names do not.
std::optional<Unit> unit_from_table(std::string_view word);

}  // namespace grpo::verifier
