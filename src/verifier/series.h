#pragma once

#include <optional>

#include "verifier/ast.h"
#include "verifier/scalar.h"

namespace grpo::verifier {

/// Compares two expressions at eight integers, and by their exact values at up to four more. Sums, products and double
/// factorials with symbols in their bounds, such as \sum_{k=1}^{n} k, have values only where these symbols are
/// integers; nullopt when neither side holds such a part.
std::optional<bool> equal_at_integers(Ref a, Ref b, const ScalarPolicy& policy, Arena& arena);

/// Whether two infinite sums or products have the same bounds and, index for index, equal terms. False proves nothing.
bool same_infinite_series(Ref a, Ref b, const ScalarPolicy& policy, Arena& arena);

}  // namespace grpo::verifier
