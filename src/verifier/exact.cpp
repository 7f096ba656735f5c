#include "verifier/exact.h"

#include <flint/arith.h>
#include <flint/fmpz.h>

#include <cstdlib>
#include <map>

namespace grpo::verifier {
namespace {

using Value = std::optional<Rational>;
constexpr int64_t kMaxFactorial = 5000;
constexpr int64_t kMaxTerms = 2000;  // of a sum or product with numeric bounds

class ExactEvaluator {
 public:
  explicit ExactEvaluator(Budget& budget, std::map<std::string, Rational> values = {})
      : budget_(budget), bound_(std::move(values)) {}

  Value value(Ref node) {
    budget_.spend(1);
    Value result = evaluate(node);
    if (result) {
      if (result->bits() > kMaxExactBits) return std::nullopt;
      budget_.spend(result->bits() / 2000);
    }
    return result;
  }

 private:
  Value evaluate(Ref node) {
    switch (node->kind) {
      case Kind::kNumber:
        return node->number;
      case Kind::kSymbol: {
        const auto found = bound_.find(node->text);
        return found == bound_.end() ? std::nullopt : Value(found->second);
      }
      case Kind::kAdd:
        return fold(node, [](const Rational& a, const Rational& b) { return a + b; });
      case Kind::kMul:
        return fold(node, [](const Rational& a, const Rational& b) { return a * b; });
      case Kind::kNeg:
        return map(node, [](const Rational& a) { return -a; });
      case Kind::kPercent:
        return map(node, [](const Rational& a) { return a / Rational(100); });
      case Kind::kDiv:
      case Kind::kRatio:
        return quotient(node);
      case Kind::kPow:
        return power(node);
      case Kind::kRoot:
        return root(node);
      case Kind::kFactorial:
        return factorial(node);
      case Kind::kBinomial:
        return binomial(node);
      case Kind::kApply:
        return node->text == "mod" ? remainder(node) : std::nullopt;
      case Kind::kFunction:
        return function(node);
      case Kind::kLog:
        return logarithm(node);
      case Kind::kSum:
      case Kind::kProduct:
        return series(node);
      default:
        return std::nullopt;
    }
  }

  template <typename Op>
  Value fold(Ref node, Op op) {
    Value total = value(node->kids[0]);
    for (size_t i = 1; total && i < node->kids.size(); ++i) {
      const Value next = value(node->kids[i]);
      if (!next) return std::nullopt;
      total = op(*total, *next);
      if (total->bits() > kMaxExactBits) return std::nullopt;
    }
    return total;
  }

  template <typename Op>
  Value map(Ref node, Op op) {
    const Value inner = value(node->kids[0]);
    return inner ? Value(op(*inner)) : std::nullopt;
  }

  Value quotient(Ref node) {
    if (node->kids.size() != 2) return std::nullopt;
    const Value top = value(node->kids[0]);
    const Value bottom = value(node->kids[1]);
    if (bottom && bottom->is_zero()) throw Undefined("a division by zero");
    return top && bottom ? Value(*top / *bottom) : std::nullopt;
  }

  Value power(Ref node) {
    const Value base = value(node->kids[0]);
    const Value exponent = value(node->kids[1]);
    if (!base || !exponent) return std::nullopt;
    if (exponent->is_integer()) return integer_power(*base, *exponent);
    if (!fmpz_abs_fits_ui(exponent->den()) || fmpz_get_ui(exponent->den()) > 64) return std::nullopt;
    const Value rooted = exact_root(*base, static_cast<int64_t>(fmpz_get_ui(exponent->den())));
    Rational numerator;
    fmpz_set(fmpq_numref(numerator.get()), exponent->num());
    return rooted && !base->is_negative() ? integer_power(*rooted, numerator) : std::nullopt;
  }

  Value integer_power(const Rational& base, const Rational& exponent) {
    if (base.is_zero()) {
      if (exponent.is_negative() || exponent.is_zero()) throw Undefined("a power of zero");
      return base;
    }
    const bool unit = fmpz_is_pm1(base.num()) && fmpz_is_one(base.den());
    if (unit) return fmpz_is_even(exponent.num()) ? Rational(1) : base;
    if (!exponent.fits_int64()) return std::nullopt;
    const int64_t n = exponent.to_int64();
    if (std::llabs(n) > kMaxExactBits || base.bits() * std::llabs(n) > 2 * kMaxExactBits) return std::nullopt;
    Rational result;
    fmpq_pow_si(result.get(), base.get(), n);
    return result;
  }

  static Value exact_root(const Rational& radicand, int64_t index) {
    Rational result;
    const bool negative = radicand.is_negative();
    if (negative && index % 2 == 0) return std::nullopt;
    const auto root_of = [index](fmpz* out, const fmpz* in) { return fmpz_root(out, in, index) != 0; };
    fmpz_t top;
    fmpz_init(top);
    fmpz_abs(top, radicand.num());
    const bool exact = root_of(fmpq_numref(result.get()), top) && root_of(fmpq_denref(result.get()), radicand.den());
    fmpz_clear(top);
    if (!exact) return std::nullopt;
    return negative ? -result : result;
  }

  Value root(Ref node) {
    const Value radicand = value(node->kids[0]);
    const Value index = value(node->kids[1]);
    if (!radicand || !index || !index->fits_int64()) return std::nullopt;
    const int64_t n = index->to_int64();
    if (n == 0) throw Undefined("a root of index zero");
    if (n < 0 || n > 1000) return std::nullopt;
    return exact_root(*radicand, n);
  }

  Value factorial(Ref node) {
    const Value n = value(node->kids[0]);
    if (!n) return std::nullopt;
    if (n->is_negative() && n->is_integer()) throw Undefined("a factorial of a negative number");
    if (!n->fits_int64() || n->to_int64() > kMaxFactorial) return std::nullopt;
    budget_.spend(n->to_int64() / 20);
    Rational result(1);
    if (node->text == "!") {
      fmpz_fac_ui(fmpq_numref(result.get()), static_cast<ulong>(n->to_int64()));
    } else {
      for (int64_t k = n->to_int64(); k > 1; k -= 2)
        fmpz_mul_ui(fmpq_numref(result.get()), fmpq_numref(result.get()), static_cast<ulong>(k));
    }
    return result;
  }

  Value binomial(Ref node) {
    const Value n = value(node->kids[0]);
    const Value k = value(node->kids[1]);
    if (!n || !k || !n->fits_int64() || !k->fits_int64() || n->is_negative() || k->is_negative()) return std::nullopt;
    if (n->to_int64() > kMaxFactorial * 4) return std::nullopt;
    budget_.spend(n->to_int64() / 20);
    Rational result;
    fmpz_bin_uiui(fmpq_numref(result.get()), static_cast<ulong>(n->to_int64()), static_cast<ulong>(k->to_int64()));
    return result;
  }

  Value remainder(Ref node) {
    const Value a = value(node->kids[0]);
    const Value m = value(node->kids[1]);
    if (!a || !m || !a->is_integer() || !m->is_integer() || m->is_negative() || m->is_zero()) return std::nullopt;
    Rational out;
    fmpz_fdiv_r(fmpq_numref(out.get()), a->num(), m->num());
    return out;
  }

  Value function(Ref node) {
    std::vector<Rational> arguments;
    for (Ref kid : node->kids) {
      if (kid->kind == Kind::kMatrix) return std::nullopt;
      const Value next = value(kid);
      if (!next) return std::nullopt;
      arguments.push_back(*next);
    }
    const std::string& name = node->text;
    if (name == "abs" && arguments.size() == 1) return arguments[0].is_negative() ? -arguments[0] : arguments[0];
    if (name == "floor" || name == "ceil") return rounded(arguments[0], name == "floor");
    if (name == "max" || name == "min") {
      Rational best = arguments[0];
      for (const auto& a : arguments) best = (name == "max") == (best < a) ? a : best;
      return best;
    }
    if (name == "gcd" || name == "lcm") return common(arguments, name == "gcd");
    return std::nullopt;
  }

  static Rational rounded(const Rational& a, bool down) {
    Rational out;
    if (down) {
      fmpz_fdiv_q(fmpq_numref(out.get()), a.num(), a.den());
    } else {
      fmpz_cdiv_q(fmpq_numref(out.get()), a.num(), a.den());
    }
    return out;
  }

  static Value common(const std::vector<Rational>& arguments, bool divisor) {
    Rational out = arguments[0];
    for (const auto& a : arguments) {
      if (!a.is_integer()) return std::nullopt;
      if (divisor)
        fmpz_gcd(fmpq_numref(out.get()), fmpq_numref(out.get()), a.num());
      else
        fmpz_lcm(fmpq_numref(out.get()), fmpq_numref(out.get()), a.num());
      if (out.bits() > kMaxExactBits) return std::nullopt;
    }
    return out;
  }

  // log_b a when both are powers of one integer: log_3 81, log_4 8.
  Value logarithm(Ref node) {
    const Value a = value(node->kids[0]);
    if (a && a->is_zero()) throw Undefined("a logarithm of zero");
    const bool one = a && *a == Rational(1);
    if (node->kids.size() < 2) return one ? Value(Rational(0)) : std::nullopt;
    const Value b = value(node->kids[1]);
    if (one && !(b && *b == Rational(1))) return Rational(0);
    if (!a || !b || a->is_negative() || b->is_negative() || a->bits() > 4000 || b->bits() > 4000) return std::nullopt;
    if (b->is_zero() || *b == Rational(1)) throw Undefined("a logarithm to base 0 or 1");
    const double guess = fmpq_log(*a) / fmpq_log(*b);
    for (int64_t den = 1; den <= 6; ++den) {
      const double scaled = guess * static_cast<double>(den);
      if (scaled > 4000 || scaled < -4000) return std::nullopt;
      const auto num = static_cast<int64_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
      const Value left = integer_power(*a, Rational(den));
      const Value right = integer_power(*b, Rational(num));
      if (left && right && *left == *right) return Rational(num) / Rational(den);
    }
    return std::nullopt;
  }

  static double fmpq_log(const Rational& a) { return fmpz_dlog(a.num()) - fmpz_dlog(a.den()); }

  Value series(Ref node) {
    const Value from = value(node->kids[1]);
    const Value to = value(node->kids[2]);
    if (!from || !to || !from->fits_int64() || !to->fits_int64()) return std::nullopt;
    if (!from->is_integer() || !to->is_integer() || (*from + Rational(kMaxTerms)) < *to) return std::nullopt;
    Rational total(node->kind == Kind::kSum ? 0 : 1);
    const auto outer = bound_;
    Value result = total;
    for (int64_t k = from->to_int64(); result && k <= to->to_int64(); ++k) {
      bound_[node->text] = Rational(k);
      const Value term = value(node->kids[0]);
      result = !term ? std::nullopt : Value(node->kind == Kind::kSum ? *result + *term : *result * *term);
      if (result && result->bits() > kMaxExactBits) result = std::nullopt;
    }
    bound_ = outer;
    return result;
  }

  Budget& budget_;
  std::map<std::string, Rational> bound_;  // values of the indices of enclosing sums and of the given symbols
};

}  // namespace

std::optional<Rational> exact_value_at(Ref node, std::map<std::string, Rational> values, Budget& budget) {
  return ExactEvaluator(budget, std::move(values)).value(node);
}

std::optional<Rational> exact_value(Ref node, Budget& budget) { return ExactEvaluator(budget).value(node); }

}  // namespace grpo::verifier
