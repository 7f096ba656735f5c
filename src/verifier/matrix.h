#pragma once

#include "verifier/ast.h"

namespace grpo::verifier {

/// Carries out sums, products, scalar factors, signs, transposes and determinants of matrices, so that one matrix of
/// scalars or one scalar is left. Returns `node` itself when it holds no matrix or shapes that do not fit. Throws
/// OverBudget on large products.
Ref evaluate_matrices(Ref node, Arena& arena);

}  // namespace grpo::verifier
