#pragma once

#include "verifier/ast.h"
#include "verifier/scalar.h"

namespace grpo::verifier {

/// Scalars with their units. Equal units, and units of one dimension after conversion, are compared by value; different
/// dimensions are different. A unit, percent or degree sign on one side only is accepted: 31 = 31 m, 64 = 64 %, and
/// 64 % = 0.64 since that is its value; degrees also equal their radians.
bool same_quantities(Ref gold, Ref answer, const ScalarPolicy& policy, Arena& arena);

}  // namespace grpo::verifier
