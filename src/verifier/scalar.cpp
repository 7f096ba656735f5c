#include "verifier/scalar.h"

#include <algorithm>
#include <array>

#include "verifier/exact.h"
#include "verifier/index.h"
#include "verifier/numeric.h"
#include "verifier/polynomial.h"
#include "verifier/sample_points.h"
#include "verifier/series.h"

namespace grpo::verifier {
namespace {

constexpr std::array<int64_t, 2> kPrecisions = {128, 512};
constexpr int64_t kNeededBits = 200;      // relative accuracy at which an overlap counts as equality
constexpr int64_t kTellingBits = 60;      // the same where the overlap is no proof but only shows no difference
constexpr int64_t kFractionBits = 64;     // bits behind the binary point that have to agree as well
constexpr int64_t kLargeBits = 100;       // values with more integer bits are compared again, at a higher precision
constexpr int64_t kLastConstant = 4096;   // precision of one last look at constants that seem the same: 1 + e^{-2000}
constexpr int64_t kLastFunction = 2048;   // and at functions
constexpr int64_t kMaxExtraBits = 20000;  // the precision grows with the value up to so many integer bits
constexpr int kMaxShownDigits = 80;       // longest decimal for an irrational value, which is known to 2^-300 only
constexpr int64_t kLastInteger = 128;     // step functions are compared at integers up to this one
constexpr int kMostInexact = 60;          // at most so many of these comparisons by ball arithmetic

struct Decimal {
  Rational value;
  int significant = 0;
  int fraction = 0;
};

// A number written with a decimal point, with its sign.
std::optional<Decimal> as_decimal(Ref node) {
  const bool negative = node->kind == Kind::kNeg;
  const Ref inner = negative ? node->kids[0] : node;
  if (inner->kind != Kind::kNumber || inner->significant_digits == 0) return std::nullopt;
  return Decimal{negative ? -inner->number : inner->number, inner->significant_digits, inner->fraction_digits};
}

bool terminates(const Rational& value) {
  Rational rest = value;
  fmpz_t factor;
  fmpz_init(factor);
  fmpz_set(factor, value.den());
  for (const ulong prime : {2UL, 5UL}) {
    while (fmpz_divisible_si(factor, static_cast<slong>(prime))) fmpz_divexact_ui(factor, factor, prime);
  }
  const bool out = fmpz_is_one(factor) != 0;
  fmpz_clear(factor);
  return out;
}

// Whether a and b are equal once both are cut, or both rounded, to the last of `digits` significant digits of b.
bool agree_to_digits(const Rational& a, const Rational& b, int digits) {
  if (a.is_negative() != b.is_negative() || b.is_zero() || a.is_zero()) return false;
  const Rational x = magnitude(a);
  const Rational y = magnitude(b);
  // A power of ten that puts y in [10^(digits-1), 10^digits).
  int64_t shift = digits - 1 - static_cast<int64_t>((fmpz_dlog(y.num()) - fmpz_dlog(y.den())) / 2.302585092994045684);
  const auto scaled = [&](const Rational& v) { return v * Rational::from_decimal("1", shift); };
  if (scaled(y) < Rational::from_decimal("1", digits - 1)) ++shift;
  if (!(scaled(y) < Rational::from_decimal("1", digits))) --shift;
  const auto whole = [](const Rational& v) {
    Rational out;
    fmpz_fdiv_q(fmpq_numref(out.get()), v.num(), v.den());
    return out;
  };
  const Rational half(1, 2);
  return whole(scaled(x)) == whole(scaled(y)) || whole(scaled(x) + half) == whole(scaled(y) + half);
}

// Doubles print with noise in the 16th digit: 0.30000000000000004, 1.4142135623730951.
bool is_double_noise(const Decimal& decimal, const Rational& exact) {
  if (decimal.significant < 15 || decimal.fraction < 10) return false;
  return magnitude(decimal.value - exact) < magnitude(exact) * Rational::from_decimal("1", -14);
}

// Whether every digit that the decimal shows is right, the last one rounded or cut.
bool shows(const Decimal& decimal, const Rational& exact) {
  return agree_to_digits(decimal.value, exact, decimal.significant) || is_double_noise(decimal, exact);
}

// A rational with a relative error of at most 2^-300 for a real constant; nullopt when there is none or it is extremely
// large or small.
std::optional<Rational> approximate(Ref node, Budget& budget) {
  const Evaluation result = evaluate(node, Point{}, 512, budget);
  const auto* real = acb_realref(result.value.get());
  if (!acb_is_real(result.value.get()) || arb_rel_accuracy_bits(real) < 300) return std::nullopt;
  if (arf_abs_bound_lt_2exp_si(arb_midref(real)) > 10000 || arf_abs_bound_lt_2exp_si(arb_midref(real)) < -10000)
    return std::nullopt;
  Rational out;
  arf_get_fmpq(out.get(), arb_midref(real));
  return out;
}

bool decimal_matches(const Decimal& decimal, Ref other, const ScalarPolicy& policy, Budget& budget) {
  if (decimal.significant < policy.decimal_digits) return false;
  const auto other_decimal = as_decimal(other);
  if (other_decimal) {
    const int digits = std::min(decimal.significant, other_decimal->significant);
    if (digits >= policy.decimal_digits) return agree_to_digits(decimal.value, other_decimal->value, digits);
  }
  const auto exact = exact_value(other, budget);
  if (exact && terminates(*exact)) return is_double_noise(decimal, *exact);
  if (decimal.significant > kMaxShownDigits) return false;
  if (exact) return exact->bits() < 20000 && shows(decimal, *exact);
  if (!free_symbols(other).empty()) return false;
  const auto value = approximate(other, budget);
  return value && shows(decimal, *value);
}

enum class Sameness { kSame, kDifferent, kUnclear };

// Compares two balls: unclear when they overlap but are not accurate enough to conclude anything.
Sameness compare_balls(const Ball& a, const Ball& b, int64_t needed_bits = kNeededBits) {
  if (acb_overlaps(a.get(), b.get()) == 0) return Sameness::kDifferent;
  Ball difference;
  acb_sub(difference.get(), a.get(), b.get(), 512);
  mag_t error;
  mag_t size;
  mag_init(error);
  mag_init(size);
  acb_get_mag(error, difference.get());
  acb_get_mag_lower(size, a.get());
  // error <= 2^-needed_bits max(1, |a|): absolute near zero, so that 0 and sin(pi) are the same.
  if (mag_cmp_2exp_si(size, 0) < 0) mag_one(size);
  mag_mul_2exp_si(size, size, -needed_bits);
  const bool tight = mag_cmp(error, size) <= 0 && mag_cmp_2exp_si(error, -kFractionBits) <= 0;
  mag_clear(error);
  mag_clear(size);
  return tight ? Sameness::kSame : Sameness::kUnclear;
}

struct Sample {
  Sameness sameness = Sameness::kUnclear;
  bool left_reals = false;
  bool too_large = false;  // unclear since the values have more digits than are computed
};

// Binary digits before the point.
int64_t integer_bits(const Ball& ball) {
  mag_t size;
  mag_init(size);
  acb_get_mag(size, ball.get());
  const int64_t bits = mag_cmp_2exp_si(size, kMaxExtraBits) > 0 ? kMaxExtraBits + 1
                       : mag_cmp_2exp_si(size, 0) <= 0          ? 0
                                                                : static_cast<int64_t>(mag_get_d_log2_approx(size)) + 1;
  mag_clear(size);
  return bits;
}

struct Effort {
  int64_t bits = kNeededBits;  // the precision grows until so many bits are certain
  bool reals_only = false;     // a point outside of the real domain does not matter, so that no more is computed there
};
constexpr Effort kTelling = {.bits = kTellingBits, .reals_only = true};

Sample compare_at(Ref a, Ref b, const Point& point, Budget& budget, const Effort& effort = {}) {
  Sample sample;
  int64_t extra = 0;
  const auto compare = [&](int64_t precision) {
    budget.spend(precision / 64);
    const Evaluation left = evaluate(a, point, precision, budget);
    const Evaluation right = evaluate(b, point, precision, budget);
    sample.left_reals = left.left_reals || right.left_reals;
    sample.sameness = compare_balls(left.value, right.value, effort.bits);
    extra = integer_bits(left.value);
  };
  for (const int64_t precision : kPrecisions) {
    compare(precision);
    if (sample.sameness == Sameness::kDifferent || (sample.left_reals && effort.reals_only)) return sample;
    if (sample.sameness == Sameness::kSame && effort.bits < precision / 2) break;
  }
  // sqrt(10^200 + 1) exceeds 10^100 by 2^-666 of its value only, so large values need more bits the larger they are.
  if (sample.sameness == Sameness::kUnclear && extra > 0 && extra <= kMaxExtraBits) compare(kPrecisions.back() + extra);
  const bool proof = effort.bits == kNeededBits;
  if (proof && sample.sameness == Sameness::kSame && extra > kLargeBits && extra <= kMaxExtraBits)
    compare(kPrecisions.back() + 3 * extra);
  sample.too_large = sample.sameness == Sameness::kUnclear && extra > kLargeBits;
  return sample;
}

// Whether an evaluation at a high precision may cost much, as at sums and gamma functions.
bool is_costly(Ref node) {
  return contains(node, Kind::kSum) || contains(node, Kind::kProduct) || contains(node, Kind::kFactorial) ||
         contains(node, Kind::kBinomial);
}

// Whether a last look at a high precision tells two values apart that seem the same. It is not taken where it costs
// much.
bool differ_at_last_look(Ref a, Ref b, const Point& point, int64_t precision, Budget& budget) {
  if (is_costly(a) || is_costly(b)) return false;
  const Evaluation left = evaluate(a, point, precision, budget);
  const Evaluation right = evaluate(b, point, precision, budget);
  return compare_balls(left.value, right.value) == Sameness::kDifferent;
}

// Compares two expressions with variables at random points. Points outside the real domain do not count at first, since
// a function is usually meant inside it; they decide only when no point lies inside.
bool equal_functions(Ref a, Ref b, const Symbols& symbols, const ScalarPolicy& policy, bool decimal_log,
                     Budget& budget) {
  const bool complex = contains(a, Kind::kImaginary) || contains(b, Kind::kImaginary);
  const bool steps = has_steps(a) || has_steps(b);
  for (const bool outside_reals : {false, true}) {
    int agreed = 0;
    for (int trial = 0; trial < kTrials && agreed < policy.points; ++trial) {
      try {
        const Point random = sample_point(symbols, trial, decimal_log);
        const Point point = steps && trial % 2 == 1 ? rounded(random) : random;
        const bool reals_only = !complex && !outside_reals;
        const Sample sample = compare_at(a, b, point, budget, {.reals_only = reals_only});
        if (sample.left_reals && reals_only) continue;
        if (sample.sameness == Sameness::kDifferent) return false;
        if (sample.sameness != Sameness::kSame) continue;
        if (agreed++ == 0 && differ_at_last_look(a, b, point, kLastFunction, budget)) return false;
      } catch (const Undefined&) {  // a pole: another point will do
      }
    }
    if (agreed >= std::min(3, policy.points)) return true;
    if (complex || agreed > 0) return false;
  }
  return false;
}

// Whether `differ` finds two functions different at one of the points. A point at which one of them has no value
// decides nothing. One at which a value is too large to compare does not either; with `all_count` none of them may be
// left out, and OverBudget is thrown.
template <typename Differ>
bool differ_at(const std::vector<Point>& points, bool all_count, Differ differ) {
  bool left_out = false;
  for (const Point& point : points) {
    try {
      if (differ(point)) return true;
    } catch (const Undefined&) {
    } catch (const ValueTooLarge&) {
      left_out = true;
    }
  }
  if (left_out && all_count) throw OverBudget("the values of a piece are too large to be told apart");
  return false;
}

// Functions made of pieces may agree near the random points and differ far away, near zero or at integers: 1000 - x and
// |x - 1000|, \lfloor n/10 \rfloor and \lfloor (n-1)/10 \rfloor.
bool differ_in_pieces(Ref a, Ref b, const Symbols& symbols, bool decimal_log, Arena& arena) {
  const auto differ = [&](const Point& point) {
    const Sample sample = compare_at(a, b, point, arena.budget(), kTelling);
    if (sample.too_large) throw ValueTooLarge("the values are too large to be told apart");
    return !sample.left_reals && sample.sameness == Sameness::kDifferent;
  };
  return differ_at(special_points(symbols, decimal_log), false, differ) ||
         differ_at(piece_points(a, b, symbols, decimal_log, arena), true, differ);
}

// Whether step functions differ at multiples of 1 / `parts`; with parts > 1, only exact values are compared. They may
// differ only where their argument is whole, as \lceil (x+7)/38 \rceil and \lfloor (x+7)/38 \rfloor + 1 do, or shortly
// behind it, as \lceil x \rceil and \lceil x - 1/12 \rceil do.
bool differ_at_steps(Ref a, Ref b, const Symbols& symbols, int64_t parts, bool decimal_log, Budget& budget) {
  int inexact = 0;
  // In twelfths up to 14, so that the steps of a quotient by up to 14 are passed: \lceil (x+1)/7 - 1/12 \rceil.
  const int64_t last = parts > 1 ? 14 * parts : kLastInteger;
  for (int64_t n = -3; n <= last; ++n) {
    std::map<std::string, Rational> values;
    int64_t offset = 0;
    for (const auto& [name, count] : symbols) values[name] = Rational(n + 3 * offset++, parts);
    try {
      const auto left = exact_value_at(a, values, budget);
      const auto right = exact_value_at(b, values, budget);
      if (left && right && !(*left == *right)) return true;
      if ((left && right) || parts > 1 || ++inexact > kMostInexact) continue;
      const Sample sample = compare_at(a, b, Point{values, decimal_log}, budget, kTelling);
      if (!sample.left_reals && sample.sameness == Sameness::kDifferent) return true;
    } catch (const Undefined&) {
    }
  }
  return false;
}

bool equal_under_log(Ref a, Ref b, const ScalarPolicy& policy, bool decimal_log, Arena& arena) {
  Budget& budget = arena.budget();
  auto symbols = free_symbols(a);
  for (const auto& [name, count] : free_symbols(b)) symbols[name] += count;
  if (!symbols.empty()) {
    const bool pieces = has_pieces(a) || has_pieces(b);
    const bool steps = has_steps(a) || has_steps(b);
    return equal_functions(a, b, symbols, policy, decimal_log, budget) &&
           !(steps && (differ_at_steps(a, b, symbols, 1, decimal_log, budget) ||
                       differ_at_steps(a, b, symbols, 12, decimal_log, budget))) &&
           !(pieces && differ_in_pieces(a, b, symbols, decimal_log, arena));
  }
  Point point;
  point.decimal_log = decimal_log;
  const Sameness sameness = compare_at(a, b, point, budget).sameness;
  if (sameness == Sameness::kUnclear) throw OverBudget("the values are too large or too close to be told apart");
  return sameness == Sameness::kSame && !differ_at_last_look(a, b, point, kLastConstant, budget);
}

bool has_baseless_log(Ref node) {
  if (node->kind == Kind::kLog && node->kids.size() == 1) return true;
  return std::any_of(node->kids.begin(), node->kids.end(), has_baseless_log);
}

bool is_structure(Ref node) { return node->kind >= Kind::kList; }

// Whether a / b takes another value in one of the pieces of the two functions than at the point `first`. The precision
// grows with the size of a, since a small term beside a large one changes the quotient little.
bool another_quotient(Ref a, Ref b, const Point& first, const Symbols& symbols, Arena& arena) {
  const Ref quotient = arena.make(Kind::kDiv, {a, b});
  Budget& budget = arena.budget();
  const auto differ = [&](const Point& point) {
    const Evaluation size = evaluate(a, point, kPrecisions.front(), budget);
    if (size.left_reals) return false;
    const int64_t bits = integer_bits(size.value);
    if (bits > kMaxExtraBits) throw ValueTooLarge("the values are too large to be told apart");
    const int64_t precision = bits < kTellingBits ? kPrecisions.front() : kPrecisions.back() + 2 * bits;
    const Evaluation there = evaluate(quotient, first, precision, budget);
    const Evaluation here = evaluate(quotient, point, precision, budget);
    return !here.left_reals && compare_balls(there.value, here.value) == Sameness::kDifferent;
  };
  return differ_at(special_points(symbols, false), false, differ) ||
         differ_at(piece_points(a, b, symbols, false, arena), true, differ);
}

std::optional<int> sign_of_difference(Ref a, Ref b, Budget& budget) {
  bool same = false;
  for (const int64_t precision : {kPrecisions[0], kPrecisions[1], kLastConstant}) {
    if (precision == kLastConstant && (!same || is_costly(a) || is_costly(b))) break;
    const Evaluation left = evaluate(a, Point{}, precision, budget);
    const Evaluation right = evaluate(b, Point{}, precision, budget);
    if (!acb_is_real(left.value.get()) || !acb_is_real(right.value.get())) return std::nullopt;
    const auto sameness = compare_balls(left.value, right.value);
    if (sameness == Sameness::kDifferent)
      return arb_lt(acb_realref(left.value.get()), acb_realref(right.value.get())) != 0 ? -1 : 1;
    same = sameness == Sameness::kSame;
  }
  return same ? std::optional<int>(0) : std::nullopt;
}

}  // namespace

int infinity_sign(Ref node) {
  if (node->kind == Kind::kInfinity) return 1;
  if (node->kind == Kind::kNeg) return -infinity_sign(node->kids[0]);
  return 0;
}

bool equal_scalars(Ref a, Ref b, const ScalarPolicy& policy, Arena& arena) {
  if (is_structure(a) || is_structure(b)) return false;
  Budget& budget = arena.budget();
  if (same_infinite_series(a, b, policy, arena)) return true;
  a = spelled_out_series(a, arena);
  b = spelled_out_series(b, arena);
  if (contains(a, Kind::kInfinity) || contains(b, Kind::kInfinity)) {
    return infinity_sign(a) != 0 && infinity_sign(a) == infinity_sign(b);
  }
  try {
    const auto left = exact_value(a, budget);
    const auto right = exact_value(b, budget);
    if (left && right && *left == *right) return true;
    for (const auto& [one, other] : {std::pair{a, b}, std::pair{b, a}}) {
      const auto decimal = as_decimal(one);
      if (decimal && decimal_matches(*decimal, other, policy, budget)) return true;
    }
    if (left && right) return false;
    if (canonical_text(a) == canonical_text(b)) return true;
    if ((has_pieces(a) || has_pieces(b)) && same_over_atoms(a, b, budget)) return true;
    if (const auto same = equal_at_integers(a, b, policy, arena)) return *same;
    if (const auto same = same_rational_function(a, b, budget)) return *same;
    // A sum such as 1 + 1/1! + ... + 1/100! costs no more than its value, so that it is looked at like any other
    // constant.
    if (left) a = arena.number(*left);
    if (right) b = arena.number(*right);
    if (equal_under_log(a, b, policy, false, arena)) return true;
    return (has_baseless_log(a) || has_baseless_log(b)) && equal_under_log(a, b, policy, true, arena);
  } catch (const Undefined&) {
    return false;
  } catch (const ParseError&) {
    return false;  // a structure without a number, such as an unknown unit
  }
}

std::optional<int> compare_reals(Ref a, Ref b, Arena& arena) {
  const int left = infinity_sign(a);
  const int right = infinity_sign(b);
  if (left != 0 || right != 0) return left == right ? 0 : left < right ? -1 : 1;
  if (is_structure(a) || is_structure(b)) return std::nullopt;
  try {
    const auto x = exact_value(a, arena.budget());
    const auto y = exact_value(b, arena.budget());
    if (x && y) return *x == *y ? 0 : *x < *y ? -1 : 1;
    if (!free_symbols(a).empty() || !free_symbols(b).empty()) return std::nullopt;
    return sign_of_difference(a, b, arena.budget());
  } catch (const Undefined&) {
    return std::nullopt;
  } catch (const ParseError&) {
    return std::nullopt;
  }
}

bool proportional(Ref a, Ref b, Arena& arena, bool& positive) {
  Budget& budget = arena.budget();
  try {
    if (const auto exact = proportional_polynomials(a, b, budget, positive)) return *exact;
    auto symbols = free_symbols(a);
    for (const auto& [name, count] : free_symbols(b)) symbols[name] += count;
    const Ref quotient = arena.make(Kind::kDiv, {a, b});
    std::optional<Ball> first;
    std::vector<Point> points;
    for (int trial = 0; trial < kTrials && points.size() < 5; ++trial) {
      try {
        const Point point = sample_point(symbols, trial, false);
        const Evaluation here = evaluate(quotient, point, 512, budget);
        if (here.left_reals || acb_rel_accuracy_bits(here.value.get()) < kNeededBits) continue;
        if (acb_contains_zero(here.value.get())) return false;
        if (first && compare_balls(*first, here.value) != Sameness::kSame) return false;
        if (!first) first = here.value;
        points.push_back(point);
      } catch (const Undefined&) {
      }
    }
    if (points.size() < 3 || !acb_is_real(first->get())) return false;
    if (!is_costly(quotient)) {  // a last look, as at values
      const Evaluation one = evaluate(quotient, points[0], kLastFunction, budget);
      const Evaluation other = evaluate(quotient, points[1], kLastFunction, budget);
      if (compare_balls(one.value, other.value) == Sameness::kDifferent) return false;
    }
    if ((has_pieces(a) || has_pieces(b)) && another_quotient(a, b, points[0], symbols, arena)) return false;
    positive = arb_is_positive(acb_realref(first->get())) != 0;
    return true;
  } catch (const Undefined&) {
    return false;
  } catch (const ParseError&) {
    return false;
  }
}

}  // namespace grpo::verifier
