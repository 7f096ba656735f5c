#pragma once

#include "verifier/ast.h"

namespace grpo::verifier {

/// Writes every \pm out: 5\pm\sqrt2 becomes the list of its two values, {1\pm\sqrt5, -2} a set of three. Several \pm
/// vary independently; with a \mp all signs vary together. A node without \pm comes back as it is.
/// Throws OverBudget on more than five.
Ref expand_plus_minus(Ref node, Arena& arena);

}  // namespace grpo::verifier
