#pragma once

#include <string>
#include <vector>

#include "verifier/ast.h"
#include "verifier/scalar.h"

namespace grpo::verifier {

/// What an equation says of one thing: in x = 1/2 \approx 0.5 the name is x and the values are 1/2 and 0.5.
struct Claim {
  Ref name = nullptr;       // null for a chain of numbers such as 3 + 4 = 7
  std::vector<Ref> values;  // empty: the relation is an equation or inequality of its own
};

/// Reads "name = value", "value = name", "name = step = value", "name in set", "name \approx decimal" and true numeric
/// chains. The decimal behind \approx counts only if it is the value before it, rounded. A false numeric chain such as
/// 18 = 19 claims nothing.
/// With `composite`, also "m + n = 34" and "\\sin A = 3/5" name their value; "2x + 1 = 5" is an equation and names
/// nothing.
Claim read_claim(Ref relation, const ScalarPolicy& policy, Arena& arena, bool composite = false);

/// Something an answer may be called: x, x_1, f(x), |AB|, \angle A, AB, \frac{AB}{CD}, (x, y).
bool is_name(Ref node);

/// An expression of several names, or a function of one: m + n, |z - w|, \\sin A.
bool is_composite_name(Ref node);

/// Same name; f(n) and f(x), a_n and a_k differ only in a letter that stands for any number. A capital does where its
/// value is a formula of it (T(A) = 2A), the letter of a sequence where both values are.
bool same_name(Ref a, Ref a_value, Ref b, Ref b_value);
/// Whether renaming keeps the meaning: f(t) = x^2 is no f(x) = x^2.
bool may_rename(Ref value, Ref from_name, Ref to_name);
Ref rename_argument(Ref value, Ref from_name, Ref to_name, Arena& arena);

}  // namespace grpo::verifier
