#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "verifier/ast.h"

namespace grpo::verifier {

/// Whether two expressions are the same rational function over Q, by expanding them (FLINT fmpq_mpoly) and multiplying
/// crosswise. nullopt when one is no such function or grows too large.
std::optional<bool> same_rational_function(Ref a, Ref b, Budget& budget);

/// Whether two expressions are the same rational function of their symbols and atoms. An atom is a part that is no
/// rational function (a root, a sine, 2^x), known by its canonical text. False proves nothing: to this test \sin x and
/// \cos x are unrelated.
bool same_over_atoms(Ref a, Ref b, Budget& budget);

/// Whether a = 0 and b = 0 are one equation of which denominators were cleared, as I - V/R = 0 and IR - V = 0: in
/// lowest terms their numerators differ by a constant factor. Only products of symbols may stand in the denominators,
/// none of them an unknown (x, y, z, t, n), and the numerators must hold other symbols, too.
bool same_after_denominators(Ref a, Ref b, Budget& budget);

/// Whether two polynomials satisfy a = c b for a nonzero rational c; `positive` is set to whether c > 0. nullopt when
/// one is no polynomial or grows too large.
std::optional<bool> proportional_polynomials(Ref a, Ref b, Budget& budget, bool& positive);

/// The real zeros and poles of a rational function of `variable`, in which the other symbols have these values: exact
/// where there is one only, else to 64 bits. nullopt when it is no rational function or grows too large.
std::optional<std::vector<Rational>> real_roots(Ref node, const std::string& variable,
                                                const std::map<std::string, Rational>& values, Budget& budget);

}  // namespace grpo::verifier
