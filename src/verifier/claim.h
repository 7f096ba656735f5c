#pragma once

#include <string>
#include <vector>

#include "verifier/ast.h"
#include "verifier/scalar.h"

namespace grpo::verifier {

/// What an equation says of one thing: in x = 1/2 \approx 0.5 the name is x and the values are 1/2 and 0.5.
struct Claim {
  Ref name = nullptr;       // null for a chain of numbers such as 3 + 4 = 7
  std::vector<Ref> values;  // empty when the relation gives no name a value: 2x + 1 = 5, x > 3
};

/// Reads "name = value", "value = name", "name = step = value", "name in set", "name \approx decimal" and true numeric
/// chains. The decimal behind \approx counts only if it is the value before it, rounded. A false numeric chain such as
/// 18 = 19 claims nothing.
/// With `composite`, also "m + n = 34" and "\\sin A = 3/5" name their value; "2x + 1 = 5" is an equation and names
/// nothing.
Claim read_claim(Ref relation, const ScalarPolicy& policy, Arena& arena, bool composite = false);

/// Whether an answer may be called by this expression: x, x_1, f(x), |AB|, \angle A, AB, \frac{AB}{CD}, (x, y).
bool is_name(Ref node);

/// Whether this is an expression of several names or a function of one: m + n, |z - w|, \\sin A.
bool is_composite_name(Ref node);

/// Whether a = a_value and b = b_value speak of the same thing. f(n) and f(x) are one function since the argument
/// stands for any number; a capital does so only where the value is a formula of it, as in T(A) = 2A but not in P(A) =
/// 1/2. a_n and a_k are one sequence where both values hold their index.
bool same_name(Ref a, Ref a_value, Ref b, Ref b_value);
/// Whether `value` means the same once the arguments of from_name are called as in to_name. With f(t) = x^2 and f(x) it
/// does not: the x of the value would become the argument.
bool may_rename(Ref value, Ref from_name, Ref to_name);
/// `value` with the arguments, or the index, of from_name called as in to_name; unchanged when their numbers differ.
Ref rename_argument(Ref value, Ref from_name, Ref to_name, Arena& arena);

}  // namespace grpo::verifier
