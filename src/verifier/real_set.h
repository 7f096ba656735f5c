#pragma once

#include <optional>
#include <string>

#include "verifier/ast.h"

namespace grpo::verifier {

/// The relation with its sides exchanged: a < b is b > a.
Relation mirrored(Relation relation);

/// Whether two descriptions are the same set of real numbers: intervals, finite sets, R, their unions, intersections
/// and differences, and inequalities of one variable that stands alone on its side. Both are cut at all their endpoints
/// and compared piece by piece. nullopt when one is no such set or endpoints cannot be ordered. Inequalities in two
/// different variables are different.
std::optional<bool> same_real_set(Ref a, Ref b, Arena& arena);

/// Whether `set` describes a set of real numbers as above and has no element.
bool is_empty_real_set(Ref set, Arena& arena);

}  // namespace grpo::verifier
