#pragma once

#include "verifier/ast.h"
#include "verifier/scalar.h"

namespace grpo::verifier {

/// Whether an answer says the same as the gold answer (the rules are in docs/verifier.md). Throws OverBudget.
bool same_answer(Ref gold, Ref answer, const ScalarPolicy& policy, Arena& arena);

}  // namespace grpo::verifier
