#pragma once

#include <map>
#include <optional>
#include <string>

#include "verifier/ast.h"

namespace grpo::verifier {

/// The value of a constant expression if sums, products, quotients, integer powers, exact roots, factorials, binomials,
/// floors and the like give a rational number of at most kMaxExactBits; nullopt otherwise (also when the expression is
/// irrational, has variables, or is too large). Throws Undefined on 0/0 and the like.
std::optional<Rational> exact_value(Ref node, Budget& budget);

/// exact_value() of an expression whose symbols have these values.
std::optional<Rational> exact_value_at(Ref node, std::map<std::string, Rational> values, Budget& budget);

}  // namespace grpo::verifier
