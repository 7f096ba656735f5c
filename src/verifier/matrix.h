#pragma once

#include "verifier/ast.h"

namespace grpo::verifier {

/// Carries out sums, products, scalar factors, signs and transposes of matrices, so that what is left is one matrix of
/// scalars. A node without matrices comes back as it is, and so does one whose shapes do not fit.
Ref evaluate_matrices(Ref node, Arena& arena);

}  // namespace grpo::verifier
