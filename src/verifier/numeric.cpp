#include "verifier/numeric.h"

#include <array>
#include <string_view>

#include "verifier/exact.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

using Unary = void (*)(acb_t, const acb_t, slong);

void arc(Unary inverse, acb_t out, const acb_t in, slong precision) {
  acb_t reciprocal;
  acb_init(reciprocal);
  acb_inv(reciprocal, in, precision);
  inverse(out, reciprocal, precision);
  acb_clear(reciprocal);
}
void acot(acb_t out, const acb_t in, slong p) {  // in (0, pi)
  acb_t angle;
  acb_init(angle);
  acb_atan(angle, in, p);
  acb_const_pi(out, p);
  acb_mul_2exp_si(out, out, -1);
  acb_sub(out, out, angle, p);
  acb_clear(angle);
}
void asec(acb_t out, const acb_t in, slong p) { arc(acb_acos, out, in, p); }
void acsc(acb_t out, const acb_t in, slong p) { arc(acb_asin, out, in, p); }
void cis(acb_t out, const acb_t in, slong p) {
  acb_t turned;
  acb_init(turned);
  acb_mul_onei(turned, in);
  acb_exp(out, turned, p);
  acb_clear(turned);
}
void absolute(acb_t out, const acb_t in, slong p) {
  acb_abs(acb_realref(out), in, p);
  arb_zero(acb_imagref(out));
}
void argument(acb_t out, const acb_t in, slong p) {
  acb_arg(acb_realref(out), in, p);
  arb_zero(acb_imagref(out));
}
void round_down(acb_t out, const acb_t in, slong p) {
  arb_floor(acb_realref(out), acb_realref(in), p);
  arb_floor(acb_imagref(out), acb_imagref(in), p);
}
void round_up(acb_t out, const acb_t in, slong p) {
  arb_ceil(acb_realref(out), acb_realref(in), p);
  arb_ceil(acb_imagref(out), acb_imagref(in), p);
}
void sign(acb_t out, const acb_t in, slong p) { acb_sgn(out, in, p); }

constexpr int64_t kMaxSumTerms = 2000;
constexpr int64_t kMaxSumBound = int64_t{1} << 60;  // so that the difference of two bounds fits

enum class Domain { kAll, kUnitInterval, kOutsideUnit, kAboveOne, kGrows };

struct FunctionRow {
  std::string_view name;
  Unary apply;
  Domain domain = Domain::kAll;  // real arguments with real values; kGrows: all, but large ones cost too much
};

constexpr FunctionRow kFunctions[] = {
    {"sin", acb_sin, Domain::kGrows},
    {"cos", acb_cos, Domain::kGrows},
    {"tan", acb_tan, Domain::kGrows},
    {"cot", acb_cot, Domain::kGrows},
    {"sec", acb_sec, Domain::kGrows},
    {"csc", acb_csc, Domain::kGrows},
    {"cosec", acb_csc, Domain::kGrows},
    {"arcsin", acb_asin, Domain::kUnitInterval},
    {"asin", acb_asin, Domain::kUnitInterval},
    {"arccos", acb_acos, Domain::kUnitInterval},
    {"acos", acb_acos, Domain::kUnitInterval},
    {"arctan", acb_atan},
    {"atan", acb_atan},
    {"arccot", acot},
    {"arcsec", asec, Domain::kOutsideUnit},
    {"arccsc", acsc, Domain::kOutsideUnit},
    {"sinh", acb_sinh, Domain::kGrows},
    {"cosh", acb_cosh, Domain::kGrows},
    {"tanh", acb_tanh, Domain::kGrows},
    {"coth", acb_coth, Domain::kGrows},
    {"sech", acb_sech, Domain::kGrows},
    {"csch", acb_csch, Domain::kGrows},
    {"arcsinh", acb_asinh},
    {"asinh", acb_asinh},
    {"arccosh", acb_acosh, Domain::kAboveOne},
    {"acosh", acb_acosh, Domain::kAboveOne},
    {"arctanh", acb_atanh, Domain::kUnitInterval},
    {"atanh", acb_atanh, Domain::kUnitInterval},
    {"exp", acb_exp, Domain::kGrows},
    {"abs", absolute},
    {"floor", round_down},
    {"ceil", round_up},
    {"sgn", sign},
    {"arg", argument},
    {"cis", cis, Domain::kGrows},
};

// Whether |z| may be above 2^log2_bound, where evaluating a function of z would cost too much.
bool exceeds(const acb_t z, int64_t log2_bound) {
  mag_t size;
  mag_init(size);
  acb_get_mag(size, z);
  const bool large = mag_is_inf(size) != 0 || mag_cmp_2exp_si(size, log2_bound) > 0;
  mag_clear(size);
  return large;
}

class Evaluator {
 public:
  Evaluator(const Point& point, int64_t precision, Budget& budget)
      : point_(point), precision_(precision), budget_(budget) {}

  bool left_reals = false;

  Ball value(Ref node) {
    budget_.spend(2 + precision_ / 64);
    Ball out;
    switch (node->kind) {
      case Kind::kNumber:
        set(out, node->number);
        break;
      case Kind::kPi:
        acb_const_pi(out.get(), precision_);
        break;
      case Kind::kEuler:
        arb_const_e(acb_realref(out.get()), precision_);
        break;
      case Kind::kImaginary:
        acb_onei(out.get());
        break;
      case Kind::kSymbol:
      case Kind::kOpaque:
      case Kind::kApply:
        symbol(out, node);
        break;
      case Kind::kAdd:
        fold(out, node, acb_add);
        break;
      case Kind::kMul:
        fold(out, node, acb_mul);
        break;
      case Kind::kNeg:
        acb_neg(out.get(), value(node->kids[0]).get());
        break;
      case Kind::kDiv:
      case Kind::kRatio:
        quotient(out, node);
        break;
      case Kind::kPercent:
        acb_div_ui(out.get(), value(node->kids[0]).get(), 100, precision_);
        break;
      case Kind::kUnit:
        unit(out, node);
        break;
      case Kind::kPow:
        power(out, value(node->kids[0]), value(node->kids[1]), node->kids[1]);
        break;
      case Kind::kRoot:
        root(out, node);
        break;
      case Kind::kFactorial:
        factorial(out, node);
        break;
      case Kind::kBinomial:
        binomial(out, node);
        break;
      case Kind::kLog:
        logarithm(out, node);
        break;
      case Kind::kFunction:
        function(out, node);
        break;
      case Kind::kSum:
      case Kind::kProduct:
        series(out, node);
        break;
      default:
        throw ParseError("a structure where a number should stand");
    }
    if (!out.is_finite()) throw Undefined("a value that does not exist");
    return out;
  }

 private:
  void set(Ball& out, const Rational& value) { acb_set_fmpq(out.get(), value.get(), precision_); }

  void symbol(Ball& out, Ref node) {
    const auto found = point_.values.find(node->kind == Kind::kSymbol ? node->text : canonical_text(node));
    if (found == point_.values.end()) throw ParseError("a symbol without a value: " + node->text);
    set(out, found->second);
  }

  void fold(Ball& out, Ref node, void (*op)(acb_t, const acb_t, const acb_t, slong)) {
    out = value(node->kids[0]);
    for (size_t i = 1; i < node->kids.size(); ++i) op(out.get(), out.get(), value(node->kids[i]).get(), precision_);
  }

  void quotient(Ball& out, Ref node) {
    if (node->kids.size() != 2) throw ParseError("a ratio of three where a number should stand");
    const Ball bottom = value(node->kids[1]);
    if (acb_is_zero(bottom.get())) throw Undefined("a division by zero");
    acb_div(out.get(), value(node->kids[0]).get(), bottom.get(), precision_);
  }

  // A quantity is its number times the factor of its unit times one symbol for each dimension.
  void unit(Ball& out, Ref node) {
    const auto unit = parse_unit(node->text);
    if (!unit) throw ParseError("an unknown unit");
    out = value(node->kids[0]);
    Ball factor;
    set(factor, unit->factor);
    acb_mul(out.get(), out.get(), factor.get(), precision_);
    for (int i = 0; i < unit->pi_power; ++i) {
      acb_const_pi(factor.get(), precision_);
      acb_mul(out.get(), out.get(), factor.get(), precision_);
    }
    for (const auto& [name, exponent] : unit->dimensions) {
      if (name == "rad") continue;
      const auto found = point_.values.find("unit " + name);
      if (found == point_.values.end()) throw ParseError("a unit without a value");
      set(factor, found->second);
      acb_pow_si(factor.get(), factor.get(), exponent, precision_);
      acb_mul(out.get(), out.get(), factor.get(), precision_);
    }
  }

  bool is_negative_real(const Ball& z) const {
    return acb_is_real(z.get()) && !arb_is_nonnegative(acb_realref(z.get()));
  }

  void power(Ball& out, const Ball& base, const Ball& exponent, Ref exponent_node) {
    const bool integer =
        exponent_node->kind == Kind::kNumber ? exponent_node->number.is_integer() : acb_is_int(exponent.get()) != 0;
    if (!integer && is_negative_real(base)) left_reals = true;
    // 0^n is 1 at n = 0 and 0 elsewhere. No sample lies at n = 0, so that 2^n + 0^n would pass for 2^n.
    if (acb_contains_zero(base.get()) != 0 && !free_symbols(exponent_node).empty())
      throw Undefined("a symbol above a zero");
    if (acb_is_zero(base.get())) {
      if (!arb_is_positive(acb_realref(exponent.get()))) throw Undefined("a power of zero");
      acb_zero(out.get());
      return;
    }
    // |base^exponent| = exp(Re(exponent log base)), so a bound on |exponent log base| bounds the result.
    Ball log;
    acb_log(log.get(), base.get(), 64);
    if (log.is_finite()) {
      acb_mul(log.get(), log.get(), exponent.get(), 64);
      if (exceeds(log.get(), 50)) throw ValueTooLarge("a power is too large");
    } else if (exceeds(exponent.get(), 50)) {
      throw ValueTooLarge("a power is too large");
    }
    acb_pow(out.get(), base.get(), exponent.get(), precision_);
  }

  void root(Ball& out, Ref node) {
    const Ball radicand = value(node->kids[0]);
    const Ball index = value(node->kids[1]);
    if (acb_is_zero(index.get())) throw Undefined("a root of index zero");
    if (acb_is_zero(radicand.get())) {
      acb_zero(out.get());
      return;
    }
    const bool number = node->kids[1]->kind == Kind::kNumber && node->kids[1]->number.fits_int64();
    const int64_t n = number ? node->kids[1]->number.to_int64() : 0;
    if (n == 2) {
      if (is_negative_real(radicand)) left_reals = true;
      acb_sqrt(out.get(), radicand.get(), precision_);
      return;
    }
    // An odd root of a negative real number is real here: \sqrt[3]{-8} = -2.
    if (n % 2 != 0 && n > 0 && n < 10000 && acb_is_real(radicand.get())) {
      const bool negative = arb_is_negative(acb_realref(radicand.get())) != 0;
      acb_set(out.get(), radicand.get());
      if (negative) acb_neg(out.get(), out.get());
      acb_root_ui(out.get(), out.get(), static_cast<ulong>(n), precision_);
      if (negative) acb_neg(out.get(), out.get());
      return;
    }
    Ball inverse;
    acb_inv(inverse.get(), index.get(), precision_);
    Node exponent;
    exponent.kind = Kind::kPi;  // no literal, so that power() looks at the value of the exponent
    power(out, radicand, inverse, &exponent);
  }

  void factorial(Ball& out, Ref node) {
    if (node->text != "!") throw ParseError("a double factorial of something that is no integer");
    out = value(node->kids[0]);
    acb_add_ui(out.get(), out.get(), 1, precision_);
    gamma(out);
  }

  void gamma(Ball& z) {
    if (exceeds(z.get(), 44)) throw ValueTooLarge("a factorial is too large");
    budget_.spend(precision_ / 8);
    acb_gamma(z.get(), z.get(), precision_);
  }

  void binomial(Ball& out, Ref node) {
    Ball n = value(node->kids[0]);
    Ball k = value(node->kids[1]);
    Ball rest;
    acb_sub(rest.get(), n.get(), k.get(), precision_);
    for (Ball* z : {&n, &k, &rest}) {
      acb_add_ui(z->get(), z->get(), 1, precision_);
      gamma(*z);
    }
    acb_mul(k.get(), k.get(), rest.get(), precision_);
    acb_div(out.get(), n.get(), k.get(), precision_);
  }

  void natural_log(Ball& out, const Ball& in) {
    if (acb_is_zero(in.get())) throw Undefined("a logarithm of zero");
    if (is_negative_real(in)) left_reals = true;
    acb_log(out.get(), in.get(), precision_);
  }

  void logarithm(Ball& out, Ref node) {
    natural_log(out, value(node->kids[0]));
    Ball base;
    if (node->kids.size() > 1 && node->kids[1]->kind == Kind::kEuler) return;
    if (node->kids.size() > 1) {
      natural_log(base, value(node->kids[1]));
    } else if (point_.decimal_log) {
      Ball ten;
      acb_set_ui(ten.get(), 10);
      natural_log(base, ten);
    } else {
      return;
    }
    if (acb_is_zero(base.get())) throw Undefined("a logarithm to base 1");
    acb_div(out.get(), out.get(), base.get(), precision_);
  }

  void check_domain(Domain domain, const Ball& in) {
    if (domain == Domain::kGrows && exceeds(in.get(), 50)) throw ValueTooLarge("an argument is too large");
    if (!acb_is_real(in.get())) return;
    Ball size;
    absolute(size.get(), in.get(), precision_);
    arb_srcptr real = acb_realref(in.get());
    arb_t one;
    arb_init(one);
    arb_one(one);
    const bool above = arb_gt(acb_realref(size.get()), one) != 0;
    const bool below = arb_lt(acb_realref(size.get()), one) != 0;
    if ((domain == Domain::kUnitInterval && above) || (domain == Domain::kOutsideUnit && below) ||
        (domain == Domain::kAboveOne && arb_lt(real, one))) {
      left_reals = true;
    }
    arb_clear(one);
  }

  void function(Ball& out, Ref node) {
    if (node->kids.size() == 1) {
      for (const auto& row : kFunctions) {
        if (row.name != node->text) continue;
        const Ball in = value(node->kids[0]);
        check_domain(row.domain, in);
        row.apply(out.get(), in.get(), precision_);
        return;
      }
    }
    if (node->text != "max" && node->text != "min") throw ParseError(node->text + " of something that has no number");
    out = value(node->kids[0]);
    for (size_t i = 1; i < node->kids.size(); ++i) {
      const Ball other = value(node->kids[i]);
      const auto pick = node->text == "max" ? arb_max : arb_min;
      pick(acb_realref(out.get()), acb_realref(out.get()), acb_realref(other.get()), precision_);
    }
  }

  void series(Ball& out, Ref node) {
    const auto bound = [&](Ref kid) {
      const auto value = exact_value(kid, budget_);
      if (!value || !value->is_integer()) throw ParseError("a sum whose bounds are no numbers");
      if (!value->fits_int64()) throw OverBudget("a sum has too many terms");
      return value->to_int64();
    };
    const int64_t from = bound(node->kids[1]);
    const int64_t to = bound(node->kids[2]);
    if (to > from && (from < -kMaxSumBound || to > kMaxSumBound || to - from > kMaxSumTerms))
      throw OverBudget("a sum has too many terms");
    Point inner = point_;
    acb_set_si(out.get(), node->kind == Kind::kSum ? 0 : 1);
    for (int64_t k = from; k <= to; ++k) {
      inner.values[node->text] = Rational(k);
      Evaluator term(inner, precision_, budget_);
      const Ball next = term.value(node->kids[0]);
      left_reals = left_reals || term.left_reals;
      if (node->kind == Kind::kSum)
        acb_add(out.get(), out.get(), next.get(), precision_);
      else
        acb_mul(out.get(), out.get(), next.get(), precision_);
    }
  }

  const Point& point_;
  int64_t precision_;
  Budget& budget_;
};

bool has_symbolic_bounds(Ref node) {
  const auto symbolic = [](Ref bound) {
    return contains(bound, Kind::kSymbol) || contains(bound, Kind::kApply) || contains(bound, Kind::kOpaque) ||
           contains(bound, Kind::kInfinity);
  };
  return symbolic(node->kids[1]) || symbolic(node->kids[2]);
}

void collect(Ref node, std::map<std::string, int>& names) {
  if (node->kind == Kind::kSymbol) ++names[node->text];
  if (node->kind == Kind::kOpaque || node->kind == Kind::kApply) {
    ++names[canonical_text(node)];
    return;
  }
  if ((node->kind == Kind::kSum || node->kind == Kind::kProduct) && has_symbolic_bounds(node))
    throw ParseError("a sum whose bounds are no numbers");
  if (node->kind == Kind::kUnit) {
    if (const auto unit = parse_unit(node->text)) {
      for (const auto& [name, exponent] : unit->dimensions) {
        if (name != "rad") ++names["unit " + name];
      }
    }
  }
  const bool series = node->kind == Kind::kSum || node->kind == Kind::kProduct;
  std::map<std::string, int> inner;
  for (Ref kid : node->kids) collect(kid, inner);
  if (series) inner.erase(node->text);
  for (const auto& [name, count] : inner) names[name] += count;
}

}  // namespace

Evaluation evaluate(Ref node, const Point& point, int64_t precision, Budget& budget) {
  Evaluator evaluator(point, precision, budget);
  Ball value = evaluator.value(node);
  return {std::move(value), evaluator.left_reals};
}

std::map<std::string, int> free_symbols(Ref node) {
  std::map<std::string, int> names;
  collect(node, names);
  return names;
}

}  // namespace grpo::verifier
