#pragma once

#include <map>
#include <string>
#include <vector>

#include "verifier/ast.h"
#include "verifier/numeric.h"

namespace grpo::verifier {

/// Names of the symbols of a comparison; the numbers that free_symbols() counts do not matter.
using Symbols = std::map<std::string, int>;

inline constexpr int kTrials = 24;  // most random points tried

/// A random point. Over the trials five patterns take turns: all positive; mixed signs; all negative and large; all
/// positive and large; mixed signs the other way round. Each pattern divides by a prime of its own, so that no function
/// with a period, such as \sin(2^{18} \pi x), is zero at all of them.
Point sample_point(const Symbols& symbols, int trial, bool decimal_log);

/// The point with its values rounded down to small integers.
Point rounded(Point point);

/// Whether there are step functions in an expression. Two of them may differ at integers only: \lfloor x \rfloor + 1
/// and \lceil x \rceil.
bool has_steps(Ref node);

/// Whether an expression is made of pieces, or nearly is: two of them may agree near the random points and differ far
/// away or near zero.
bool has_pieces(Ref node);

/// Fourteen points far away, near zero and beside round numbers, in which the symbols take turns.
std::vector<Point> special_points(const Symbols& symbols, bool decimal_log);

/// Points in each piece of the two expressions. The pieces end where an argument of an absolute value, a maximum or an
/// even root changes its sign, where a floor jumps, where the argument of an arc tangent has a pole and where the
/// domain of another inverse function ends. These ends are searched along each symbol, with the others at a random
/// point: exactly for rational functions, else between powers of two, from 2^-64 to 2^64. Two more points lie before
/// and behind the ends of all symbols at once. Throws OverBudget when there are too many.
std::vector<Point> piece_points(Ref a, Ref b, const Symbols& symbols, bool decimal_log, Arena& arena);

}  // namespace grpo::verifier
