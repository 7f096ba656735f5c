#pragma once

#include <optional>

#include "verifier/ast.h"

namespace grpo::verifier {

struct ScalarPolicy {
  int decimal_digits = 10;  // significant digits that a decimal must have right to stand for an exact value
  int points = 5;           // random points at which two expressions with variables must agree
};

/// Whether two scalars are the same number or the same function of their symbols. Exact where rational arithmetic or
/// polynomials over Q decide; else ball arithmetic at 128 and 512 bits: disjoint balls are different, balls of radius
/// below 2^-200 (relative) that overlap at every point are the same. Two different elementary numbers that agree to 500
/// bits would be called equal; among short expressions none is known. For functions the points have 2^-20 granularity,
/// so a non-identity of degree d passes one point with probability below d 2^-20 and all five below (d 2^-20)^5.
/// Undefined values equal nothing.
bool equal_scalars(Ref a, Ref b, const ScalarPolicy& policy, Arena& arena);

/// -1, 0, 1 for two real constants; nullopt when they are no real constants or cannot be told apart reliably.
/// Infinities are ordered too.
std::optional<int> compare_reals(Ref a, Ref b, Arena& arena);

/// +1 or -1 for an infinity with its sign, else 0.
int infinity_sign(Ref node);

/// Whether a / b is one nonzero constant wherever both are defined; `positive` tells its sign if it is real.
bool proportional(Ref a, Ref b, Arena& arena, bool& positive);

}  // namespace grpo::verifier
