#pragma once

#include <optional>
#include <string>

#include "verifier/ast.h"

namespace grpo::verifier {

/// Whether two expressions are the same rational function over Q, by expanding them (FLINT fmpq_mpoly) and multiplying
/// crosswise. nullopt when one is no such function or grows too large.
std::optional<bool> same_rational_function(Ref a, Ref b, Budget& budget);

/// Whether two expressions are the same rational function of their symbols and of what is no rational function in them
/// (roots, sines, powers with symbols), each by its spelling. False proves nothing.
bool same_over_atoms(Ref a, Ref b, Budget& budget);

/// Whether a = 0 and b = 0 are one equation multiplied through by denominators: a times a monomial in symbols is b
/// times another, up to a constant. The symbols divide in a or b, are no unknowns x, y, z, t, n, and others are left
/// beside them.
bool same_after_denominators(Ref a, Ref b, Budget& budget);

/// Whether a = c b for a nonzero rational c, for polynomials. nullopt as above. `positive` tells the sign of c.
std::optional<bool> proportional_polynomials(Ref a, Ref b, Budget& budget, bool& positive);

/// a and b of a x + b when the polynomial has this form in one variable, whose name is stored.
struct Linear {
  Rational slope;
  Rational offset;
  std::string variable;
};
std::optional<Linear> as_linear(Ref node, Budget& budget);

}  // namespace grpo::verifier
