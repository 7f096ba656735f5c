#pragma once

#include "verifier/ast.h"
#include "verifier/scalar.h"

namespace grpo::verifier {

/// Whether two scalars with their units are equal. Units of one dimension are converted and the values compared;
/// different dimensions are different. A unit, percent or degree sign on one side only is accepted: 31 = 31 m and
/// 64 = 64 %; also 64 % = 0.64, since that is its value. Degrees equal their radians.
bool same_quantities(Ref gold, Ref answer, const ScalarPolicy& policy, Arena& arena);

/// Whether a list is one quantity in parts, "2 hours and 30 minutes", whose sum it means: each unit is smaller than the
/// one before it, and each part less than one of that. "2 hours and 90 minutes" are two.
bool is_compound_quantity(Ref list);

}  // namespace grpo::verifier
