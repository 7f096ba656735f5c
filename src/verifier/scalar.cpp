#include "verifier/scalar.h"

#include <algorithm>
#include <array>

#include "grpo/base/random.h"
#include "verifier/exact.h"
#include "verifier/index.h"
#include "verifier/numeric.h"
#include "verifier/polynomial.h"
#include "verifier/series.h"

namespace grpo::verifier {
namespace {

constexpr std::array<int64_t, 2> kPrecisions = {128, 512};
constexpr int64_t kNeededBits = 200;      // relative accuracy at which an overlap counts as equality
constexpr int64_t kFractionBits = 64;     // bits behind the binary point that have to agree as well
constexpr int64_t kLargeBits = 100;       // values with more integer bits are compared again, at a higher precision
constexpr int64_t kMaxExtraBits = 20000;  // the precision grows with the value up to so many integer bits
constexpr int kMaxShownDigits = 80;       // longest decimal for an irrational value, which is known to 2^-300 only
constexpr int64_t kLastInteger = 128;     // step functions are compared at integers up to this one
constexpr int kMostInexact = 60;          // at most so many of these comparisons by ball arithmetic
constexpr int kTrials = 24;               // most random points tried

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

Rational magnitude(const Rational& value) { return value.is_negative() ? -value : value; }

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
Sameness compare_balls(const Ball& a, const Ball& b) {
  if (acb_overlaps(a.get(), b.get()) == 0) return Sameness::kDifferent;
  Ball difference;
  acb_sub(difference.get(), a.get(), b.get(), 512);
  mag_t error;
  mag_t size;
  mag_init(error);
  mag_init(size);
  acb_get_mag(error, difference.get());
  acb_get_mag_lower(size, a.get());
  // error <= 2^-200 max(1, |a|): absolute near zero, so that 0 and sin(pi) are the same.
  if (mag_cmp_2exp_si(size, 0) < 0) mag_one(size);
  mag_mul_2exp_si(size, size, -kNeededBits);
  const bool tight = mag_cmp(error, size) <= 0 && mag_cmp_2exp_si(error, -kFractionBits) <= 0;
  mag_clear(error);
  mag_clear(size);
  return tight ? Sameness::kSame : Sameness::kUnclear;
}

struct Sample {
  Sameness sameness = Sameness::kUnclear;
  bool left_reals = false;
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

Sample compare_at(Ref a, Ref b, const Point& point, Budget& budget) {
  Sample sample;
  int64_t extra = 0;
  const auto compare = [&](int64_t precision) {
    budget.spend(precision / 64);
    const Evaluation left = evaluate(a, point, precision, budget);
    const Evaluation right = evaluate(b, point, precision, budget);
    sample.left_reals = left.left_reals || right.left_reals;
    sample.sameness = compare_balls(left.value, right.value);
    extra = integer_bits(left.value);
  };
  for (const int64_t precision : kPrecisions) {
    compare(precision);
    if (sample.sameness == Sameness::kDifferent) return sample;
  }
  // sqrt(10^200 + 1) exceeds 10^100 by 2^-666 of its value only, so large values need more bits the larger they are.
  if (sample.sameness == Sameness::kUnclear && extra > 0 && extra <= kMaxExtraBits) compare(kPrecisions.back() + extra);
  if (sample.sameness == Sameness::kSame && extra > kLargeBits && extra <= kMaxExtraBits)
    compare(kPrecisions.back() + 3 * extra);
  return sample;
}

// A random point. Over the trials five patterns take turns: all positive; mixed signs; all negative and large; all
// positive and large; mixed signs the other way round.
Point sample_point(const std::map<std::string, int>& symbols, int trial, bool decimal_log) {
  static const base::RandomKey kKey{.seed = 0x5eed, .stream = base::stream_id("verifier")};
  Point point;
  point.decimal_log = decimal_log;
  uint32_t index = 0;
  const int pattern = trial % 5;
  for (const auto& [name, count] : symbols) {
    const auto numerator =
        static_cast<int64_t>(base::uniform_below(kKey, static_cast<uint64_t>(trial), index, 1u << 20)) + 1;
    const bool unit = name.rfind("unit ", 0) == 0;
    const bool negative =
        !unit && (pattern == 2 || (pattern == 1 && index % 2 == 0) || (pattern == 4 && index % 2 == 1));
    const int64_t scale = pattern == 2 || pattern == 3 ? 1 << 15 : 1 << 18;  // up to 32, or up to 4
    ++index;
    point.values[name] = Rational(negative ? -numerator : numerator, scale);
  }
  return point;
}

// Whether there are step functions in an expression. Two of them may differ at integers only: \lfloor x \rfloor + 1 and
// \lceil x \rceil.
bool has_steps(Ref node) {
  const bool step =
      node->kind == Kind::kFunction && (node->text == "floor" || node->text == "ceil" || node->text == "sgn");
  return step || std::any_of(node->kids.begin(), node->kids.end(), has_steps);
}

void round_values(Point& point) {
  for (auto& [name, value] : point.values) fmpz_one(fmpq_denref(value.get()));
  for (auto& [name, value] : point.values) fmpz_fdiv_q_2exp(fmpq_numref(value.get()), fmpq_numref(value.get()), 17);
}

// Compares two expressions with variables at random points. Points outside the real domain do not count at first, since
// a function is usually meant inside it; they decide only when no point lies inside.
bool equal_functions(Ref a, Ref b, const std::map<std::string, int>& symbols, const ScalarPolicy& policy,
                     bool decimal_log, Budget& budget) {
  const bool complex = contains(a, Kind::kImaginary) || contains(b, Kind::kImaginary);
  const bool steps = has_steps(a) || has_steps(b);
  for (const bool outside_reals : {false, true}) {
    int agreed = 0;
    for (int trial = 0; trial < kTrials && agreed < policy.points; ++trial) {
      try {
        Point point = sample_point(symbols, trial, decimal_log);
        if (steps && trial % 2 == 1) round_values(point);
        const Sample sample = compare_at(a, b, point, budget);
        if (sample.left_reals && !complex && !outside_reals) continue;
        if (sample.sameness == Sameness::kDifferent) return false;
        if (sample.sameness == Sameness::kSame) ++agreed;
      } catch (const Undefined&) {  // a pole: another point will do
      }
    }
    if (agreed >= std::min(3, policy.points)) return true;
    if (complex || agreed > 0) return false;
  }
  return false;
}

bool has_pieces(Ref node) {
  static constexpr std::string_view kNames[] = {"abs", "max", "min", "sgn", "floor", "ceil", "exp", "tanh"};
  const bool function =
      node->kind == Kind::kFunction && std::find(std::begin(kNames), std::end(kNames), node->text) != std::end(kNames);
  const bool root = node->kind == Kind::kRoot || (node->kind == Kind::kPow && node->kids[1]->kind != Kind::kNumber);
  return function || root || std::any_of(node->kids.begin(), node->kids.end(), has_pieces);
}

// Functions made of pieces may agree near the random points and differ far away, near zero or at integers: 1000 - x and
// |x - 1000|, \lfloor n/10 \rfloor and \lfloor (n-1)/10 \rfloor.
bool differ_at_special_points(Ref a, Ref b, const std::map<std::string, int>& symbols, bool decimal_log,
                              Budget& budget) {
  static const std::array<Rational, 14> kValues = {Rational(2520000),
                                                   Rational(1 << 20),
                                                   Rational(2520 * 2048 - 1, 2048),
                                                   Rational(1, 8),
                                                   Rational(1, 4096),
                                                   Rational(-3, 1000),
                                                   Rational(-2520000),
                                                   Rational(1'000'000'000'007),
                                                   Rational(-1'000'000'000'007),
                                                   Rational(1001),
                                                   Rational(-1001),
                                                   Rational(7),
                                                   Rational(-5, 2),
                                                   Rational(1'000'003)};
  for (size_t trial = 0; trial < kValues.size(); ++trial) {
    Point point;
    point.decimal_log = decimal_log;
    size_t index = 0;
    for (const auto& [name, count] : symbols) point.values[name] = kValues[(trial + 5 * index++) % kValues.size()];
    try {
      const Sample sample = compare_at(a, b, point, budget);
      if (!sample.left_reals && sample.sameness == Sameness::kDifferent) return true;
    } catch (const Undefined&) {
    } catch (const OverBudget&) {  // a value too large to compare: another point will do
    }
  }
  return false;
}

// Whether step functions differ at multiples of 1 / `parts`; with parts > 1, only exact values are compared. They may
// differ only where their argument is whole, as \lceil (x+7)/38 \rceil and \lfloor (x+7)/38 \rfloor + 1 do, or shortly
// behind it, as \lceil x \rceil and \lceil x - 1/12 \rceil do.
bool differ_at_steps(Ref a, Ref b, const std::map<std::string, int>& symbols, int64_t parts, Budget& budget) {
  int inexact = 0;
  for (int64_t n = -3; n <= kLastInteger / parts + 60 * (parts > 1 ? 1 : 0); ++n) {
    std::map<std::string, Rational> values;
    int64_t offset = 0;
    for (const auto& [name, count] : symbols) values[name] = Rational(n + 3 * offset++, parts);
    try {
      const auto left = exact_value_at(a, values, budget);
      const auto right = exact_value_at(b, values, budget);
      if (left && right && !(*left == *right)) return true;
      if ((left && right) || parts > 1 || ++inexact > kMostInexact) continue;
      const Sample sample = compare_at(a, b, Point{values, false}, budget);
      if (!sample.left_reals && sample.sameness == Sameness::kDifferent) return true;
    } catch (const Undefined&) {
    }
  }
  return false;
}

bool equal_under_log(Ref a, Ref b, const ScalarPolicy& policy, bool decimal_log, Budget& budget) {
  auto symbols = free_symbols(a);
  for (const auto& [name, count] : free_symbols(b)) symbols[name] += count;
  if (!symbols.empty()) {
    const bool pieces = has_pieces(a) || has_pieces(b);
    const bool steps = has_steps(a) || has_steps(b);
    return equal_functions(a, b, symbols, policy, decimal_log, budget) &&
           !(steps && (differ_at_steps(a, b, symbols, 1, budget) || differ_at_steps(a, b, symbols, 12, budget))) &&
           !(pieces && differ_at_special_points(a, b, symbols, decimal_log, budget));
  }
  Point point;
  point.decimal_log = decimal_log;
  const Sameness sameness = compare_at(a, b, point, budget).sameness;
  if (sameness == Sameness::kUnclear) throw OverBudget("the values are too large or too close to be told apart");
  return sameness == Sameness::kSame;
}

bool has_baseless_log(Ref node) {
  if (node->kind == Kind::kLog && node->kids.size() == 1) return true;
  return std::any_of(node->kids.begin(), node->kids.end(), has_baseless_log);
}

bool is_structure(Ref node) { return node->kind >= Kind::kList; }

std::optional<int> sign_of_difference(Ref a, Ref b, Budget& budget) {
  for (const int64_t precision : kPrecisions) {
    const Evaluation left = evaluate(a, Point{}, precision, budget);
    const Evaluation right = evaluate(b, Point{}, precision, budget);
    if (!acb_is_real(left.value.get()) || !acb_is_real(right.value.get())) return std::nullopt;
    const auto sameness = compare_balls(left.value, right.value);
    if (sameness == Sameness::kDifferent)
      return arb_lt(acb_realref(left.value.get()), acb_realref(right.value.get())) != 0 ? -1 : 1;
    if (sameness == Sameness::kSame && precision == kPrecisions.back()) return 0;
  }
  return std::nullopt;
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
    if (equal_under_log(a, b, policy, false, budget)) return true;
    return (has_baseless_log(a) || has_baseless_log(b)) && equal_under_log(a, b, policy, true, budget);
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
    int agreed = 0;
    for (int trial = 0; trial < kTrials && agreed < 5; ++trial) {
      try {
        const Evaluation here = evaluate(quotient, sample_point(symbols, trial, false), 512, budget);
        if (here.left_reals || acb_rel_accuracy_bits(here.value.get()) < kNeededBits) continue;
        if (acb_contains_zero(here.value.get())) return false;
        if (first && compare_balls(*first, here.value) != Sameness::kSame) return false;
        if (!first) first = here.value;
        ++agreed;
      } catch (const Undefined&) {
      }
    }
    if (agreed < 3 || !acb_is_real(first->get())) return false;
    positive = arb_is_positive(acb_realref(first->get())) != 0;
    return true;
  } catch (const Undefined&) {
    return false;
  } catch (const ParseError&) {
    return false;
  }
}

}  // namespace grpo::verifier
