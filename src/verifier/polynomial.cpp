#include "verifier/polynomial.h"

#include <flint/fmpq_mpoly.h>
#include <flint/fmpz_poly_factor.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "verifier/arb_headers.h"
#include "verifier/exact.h"

namespace grpo::verifier {
namespace {

constexpr int64_t kMaxPolynomialTerms = 600;
constexpr int64_t kMaxPolynomialPower = 40;
constexpr size_t kMaxVariables = 12;

struct TooLarge {};
struct NotRational {};

class Ring {
 public:
  explicit Ring(std::vector<std::string> names) : names_(std::move(names)) {
    fmpq_mpoly_ctx_init(context_, static_cast<slong>(std::max<size_t>(1, names_.size())), ORD_LEX);
  }
  ~Ring() { fmpq_mpoly_ctx_clear(context_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  const fmpq_mpoly_ctx_struct* get() const { return context_; }
  const std::vector<std::string>& names() const { return names_; }
  slong index(const std::string& name) const { return std::find(names_.begin(), names_.end(), name) - names_.begin(); }

 private:
  fmpq_mpoly_ctx_t context_;
  std::vector<std::string> names_;
};

class Poly {
 public:
  explicit Poly(const Ring& ring) : ring_(&ring) { fmpq_mpoly_init(value_, ring.get()); }
  Poly(const Poly& other) : Poly(*other.ring_) { fmpq_mpoly_set(value_, other.value_, ring_->get()); }
  Poly& operator=(Poly other) {
    fmpq_mpoly_swap(value_, other.value_, ring_->get());
    return *this;
  }
  ~Poly() { fmpq_mpoly_clear(value_, ring_->get()); }
  fmpq_mpoly_struct* get() { return value_; }
  const fmpq_mpoly_struct* get() const { return value_; }
  const Ring& ring() const { return *ring_; }
  int64_t length() const { return fmpq_mpoly_length(value_, ring_->get()); }
  bool is_zero() const { return fmpq_mpoly_is_zero(value_, ring_->get()) != 0; }
  bool operator==(const Poly& other) const { return fmpq_mpoly_equal(value_, other.value_, ring_->get()) != 0; }

 private:
  const Ring* ring_;
  fmpq_mpoly_t value_;
};

struct Fraction {
  Poly num;
  Poly den;
};

void collect_names(Ref node, std::set<std::string>& names) {
  if (node->kind == Kind::kSymbol) names.insert(node->text);
  for (Ref kid : node->kids) collect_names(kid, names);
}

// Whether a power has an integer literal as its exponent, so that expand() can multiply it out.
bool has_small_exponent(Ref power) {
  const Ref exponent = power->kids[1]->kind == Kind::kNeg ? power->kids[1]->kids[0] : power->kids[1];
  return exponent->kind == Kind::kNumber && exponent->number.is_integer() && exponent->number.fits_int64();
}

bool is_rational_form(Ref node) {
  switch (node->kind) {
    case Kind::kNumber:
    case Kind::kSymbol:
    case Kind::kPercent:
    case Kind::kNeg:
    case Kind::kAdd:
    case Kind::kMul:
    case Kind::kDiv:
      return true;
    case Kind::kPow:
      return has_small_exponent(node);
    default:
      return false;
  }
}

// The name of the variable that stands for a part that is no rational function.
std::string atom_name(Ref node) {
  if (node->kind >= Kind::kRatio || contains(node, Kind::kInfinity) || contains(node, Kind::kPlusMinus))
    throw NotRational{};
  return "atom " + canonical_text(node);
}

void collect_atoms(Ref node, std::set<std::string>& names) {
  if (node->kind == Kind::kNumber) return;
  if (node->kind == Kind::kSymbol) names.insert(node->text);
  if (!is_rational_form(node)) {
    names.insert(atom_name(node));
    return;
  }
  for (Ref kid : node->kids) collect_atoms(kid, names);
}

class Expander {
 public:
  /// With `atoms`, a part that is no rational function counts as a variable named by atom_name().
  Expander(const Ring& ring, Budget& budget, bool atoms = false) : ring_(ring), budget_(budget), atoms_(atoms) {}

  Fraction expand(Ref node) {
    budget_.spend(2);
    if (atoms_ && !is_rational_form(node)) return variable(atom_name(node));
    switch (node->kind) {
      case Kind::kNumber:
        return constant(node->number);
      case Kind::kSymbol:
        return variable(node->text);
      case Kind::kPercent:
        return divide(expand(node->kids[0]), constant(Rational(100)));
      case Kind::kNeg:
        return multiply(constant(Rational(-1)), expand(node->kids[0]));
      case Kind::kAdd:
        return fold(node, &Expander::add);
      case Kind::kMul:
        return fold(node, &Expander::multiply);
      case Kind::kDiv:
        return divide(expand(node->kids[0]), expand(node->kids[1]));
      case Kind::kPow:
        return power(node);
      default:
        throw NotRational{};
    }
  }

  Poly multiply(const Poly& a, const Poly& b) {
    if (a.length() * b.length() > kMaxPolynomialTerms * 20) throw TooLarge{};
    budget_.spend(1 + a.length() * b.length() / 20);
    budget_.spend(a.length() * b.length() * std::max<int64_t>(0, largest_bits_ - 500) / 2000);  // long coefficients
    Poly out(ring_);
    fmpq_mpoly_mul(out.get(), a.get(), b.get(), ring_.get());
    if (out.length() > kMaxPolynomialTerms) throw TooLarge{};
    return out;
  }

 private:
  using Op = Fraction (Expander::*)(const Fraction&, const Fraction&);

  Fraction constant(const Rational& value) {
    if (value.bits() > 5000) throw TooLarge{};
    largest_bits_ = std::max<int64_t>(largest_bits_, value.bits());
    Fraction out{Poly(ring_), Poly(ring_)};
    fmpq_mpoly_set_fmpq(out.num.get(), value.get(), ring_.get());
    fmpq_mpoly_one(out.den.get(), ring_.get());
    return out;
  }

  Fraction variable(const std::string& name) {
    Fraction out{Poly(ring_), Poly(ring_)};
    fmpq_mpoly_gen(out.num.get(), ring_.index(name), ring_.get());
    fmpq_mpoly_one(out.den.get(), ring_.get());
    return out;
  }

  Fraction fold(Ref node, Op op) {
    Fraction total = expand(node->kids[0]);
    for (size_t i = 1; i < node->kids.size(); ++i) total = (this->*op)(total, expand(node->kids[i]));
    return total;
  }

  Fraction add(const Fraction& a, const Fraction& b) {
    if (a.den == b.den) return {sum(a.num, b.num), a.den};
    return {sum(multiply(a.num, b.den), multiply(b.num, a.den)), multiply(a.den, b.den)};
  }

  Poly sum(const Poly& a, const Poly& b) {
    Poly out(ring_);
    fmpq_mpoly_add(out.get(), a.get(), b.get(), ring_.get());
    return out;
  }

  Fraction multiply(const Fraction& a, const Fraction& b) { return {multiply(a.num, b.num), multiply(a.den, b.den)}; }

  Fraction divide(const Fraction& a, const Fraction& b) {
    if (b.num.is_zero()) throw Undefined("a division by zero");
    return {multiply(a.num, b.den), multiply(a.den, b.num)};
  }

  Fraction power(Ref node) {
    const Ref exponent = node->kids[1]->kind == Kind::kNeg ? node->kids[1]->kids[0] : node->kids[1];
    const bool negative = exponent != node->kids[1];
    if (exponent->kind != Kind::kNumber || !exponent->number.fits_int64()) throw NotRational{};
    const int64_t n = exponent->number.to_int64();
    if (n < 0) throw NotRational{};
    if (n > kMaxPolynomialPower) {  // 10^{-1000} is a coefficient
      const auto value = contains(node, Kind::kSymbol) ? std::nullopt : exact_value(node, budget_);
      if (!value) throw NotRational{};
      return constant(*value);
    }
    const Fraction base = expand(node->kids[0]);
    if (n == 0 && base.num.is_zero()) throw Undefined("0^0");
    Fraction out = constant(Rational(1));
    for (int64_t i = 0; i < n; ++i) out = multiply(out, base);
    return negative ? divide(constant(Rational(1)), out) : out;
  }

  const Ring& ring_;
  Budget& budget_;
  bool atoms_;
  int64_t largest_bits_ = 0;  // of a constant so far
};

std::unique_ptr<Ring> common_ring(Ref a, Ref b, void (*collect)(Ref, std::set<std::string>&) = collect_names) {
  std::set<std::string> names;
  collect(a, names);
  collect(b, names);
  if (names.size() > kMaxVariables) return nullptr;
  return std::make_unique<Ring>(std::vector<std::string>(names.begin(), names.end()));
}

template <typename Result, typename Work>
std::optional<Result> guarded(Work work) {
  try {
    return work();
  } catch (const TooLarge&) {
    return std::nullopt;
  } catch (const NotRational&) {
    return std::nullopt;
  }
}

// The fraction in lowest terms.
Fraction reduced(const Fraction& fraction) {
  Fraction out = fraction;
  const auto* context = fraction.num.ring().get();
  Poly common(fraction.num.ring());
  if (fmpq_mpoly_gcd(common.get(), fraction.num.get(), fraction.den.get(), context) == 0) throw TooLarge{};
  fmpq_mpoly_divides(out.num.get(), fraction.num.get(), common.get(), context);
  fmpq_mpoly_divides(out.den.get(), fraction.den.get(), common.get(), context);
  return out;
}

std::set<std::string> names_in(const Poly& poly) {
  std::vector<int> used(poly.ring().names().size() + 1, 0);
  fmpq_mpoly_used_vars(used.data(), poly.get(), poly.ring().get());
  std::set<std::string> names;
  for (size_t i = 0; i < poly.ring().names().size(); ++i) {
    if (used[i] != 0) names.insert(poly.ring().names()[i]);
  }
  return names;
}

bool may_divide(const std::string& name) {
  constexpr std::array<std::string_view, 5> kUnknowns = {"x", "y", "z", "t", "n"};
  return !name.starts_with("atom ") && std::find(kUnknowns.begin(), kUnknowns.end(), name) == kUnknowns.end();
}

bool is_number(const Poly& poly) { return fmpq_mpoly_is_fmpq(poly.get(), poly.ring().get()) != 0; }

// A polynomial in one variable with integer coefficients.
class IntegerPoly {
 public:
  IntegerPoly() { fmpz_poly_init(value_); }
  ~IntegerPoly() { fmpz_poly_clear(value_); }
  IntegerPoly(const IntegerPoly&) = delete;
  IntegerPoly& operator=(const IntegerPoly&) = delete;
  fmpz_poly_struct* get() { return value_; }

  // The polynomial of which no root is repeated and all are those of this one.
  void make_squarefree() {
    IntegerPoly derivative;
    IntegerPoly common;
    fmpz_poly_derivative(derivative.get(), value_);
    fmpz_poly_gcd(common.get(), value_, derivative.get());
    fmpz_poly_div(value_, value_, common.get());
    fmpz_poly_primitive_part(value_, value_);
  }

 private:
  fmpz_poly_t value_;
};

// Writes `poly`, in which only `variable` is left, times a constant to `out`.
void to_integers(const Poly& poly, slong variable, IntegerPoly& out) {
  const auto* context = poly.ring().get();
  std::vector<Rational> coefficients(static_cast<size_t>(poly.length()));
  Rational common(1);
  for (slong i = 0; i < poly.length(); ++i) {
    Rational& here = coefficients[static_cast<size_t>(i)];
    fmpq_mpoly_get_term_coeff_fmpq(here.get(), poly.get(), i, context);
    fmpz_lcm(fmpq_numref(common.get()), common.num(), here.den());
  }
  for (slong i = 0; i < poly.length(); ++i) {
    const Rational scaled = coefficients[static_cast<size_t>(i)] * common;
    const auto power = static_cast<slong>(fmpq_mpoly_get_term_var_exp_ui(poly.get(), i, variable, context));
    fmpz_poly_set_coeff_fmpz(out.get(), power, scaled.num());
  }
}

std::vector<Rational> real_roots_of(IntegerPoly& poly, Budget& budget) {
  constexpr slong kBits = 64;
  if (fmpz_poly_degree(poly.get()) < 1) return {};
  poly.make_squarefree();
  const slong degree = fmpz_poly_degree(poly.get());
  const slong size = std::abs(fmpz_poly_max_bits(poly.get()));
  if (degree > kMaxPolynomialPower || size > 2000) throw TooLarge{};
  if (degree == 1) {
    Rational offset;
    Rational slope;
    fmpz_poly_get_coeff_fmpz(fmpq_numref(offset.get()), poly.get(), 0);
    fmpz_poly_get_coeff_fmpz(fmpq_numref(slope.get()), poly.get(), 1);
    return {-offset / slope};
  }
  budget.spend(10 * degree * degree);
  std::vector<Rational> out;
  acb_ptr roots = _acb_vec_init(degree);
  arb_fmpz_poly_complex_roots(roots, poly.get(), 0, kBits);
  for (slong i = 0; i < degree; ++i) {
    if (acb_is_real(roots + i) == 0) continue;
    arf_get_fmpq(out.emplace_back().get(), arb_midref(acb_realref(roots + i)));
  }
  _acb_vec_clear(roots, degree);
  return out;
}

}  // namespace

std::optional<bool> same_rational_function(Ref a, Ref b, Budget& budget) {
  const auto ring = common_ring(a, b);
  if (!ring) return std::nullopt;
  return guarded<bool>([&] {
    Expander expander(*ring, budget);
    const Fraction left = expander.expand(a);
    const Fraction right = expander.expand(b);
    return expander.multiply(left.num, right.den) == expander.multiply(right.num, left.den);
  });
}

bool same_over_atoms(Ref a, Ref b, Budget& budget) {
  const auto same = guarded<bool>([&] {
    const auto ring = common_ring(a, b, collect_atoms);
    if (!ring) throw TooLarge{};
    Expander expander(*ring, budget, true);
    const Fraction left = expander.expand(a);
    const Fraction right = expander.expand(b);
    return expander.multiply(left.num, right.den) == expander.multiply(right.num, left.den);
  });
  return same.value_or(false);
}

bool same_after_denominators(Ref a, Ref b, Budget& budget) {
  const auto same = guarded<bool>([&] {
    const auto ring = common_ring(a, b, collect_atoms);
    if (!ring) throw TooLarge{};
    Expander expander(*ring, budget, true);
    const Fraction left = reduced(expander.expand(a));
    const Fraction right = reduced(expander.expand(b));
    if (left.den.length() != 1 || right.den.length() != 1 || left.num.is_zero() || right.num.is_zero()) return false;
    std::set<std::string> factors = names_in(left.den);
    factors.merge(names_in(right.den));
    const auto names = names_in(left.num);
    const bool others =
        std::any_of(names.begin(), names.end(), [&](const auto& name) { return !factors.contains(name); });
    if (factors.empty() || !others || !std::all_of(factors.begin(), factors.end(), may_divide)) return false;
    Rational left_lead, right_lead;
    fmpq_mpoly_get_term_coeff_fmpq(left_lead.get(), left.num.get(), 0, ring->get());
    fmpq_mpoly_get_term_coeff_fmpq(right_lead.get(), right.num.get(), 0, ring->get());
    Poly scaled = right.num;
    const Rational ratio = left_lead / right_lead;
    fmpq_mpoly_scalar_mul_fmpq(scaled.get(), scaled.get(), ratio.get(), ring->get());
    return scaled == left.num;
  });
  return same.value_or(false);
}

std::optional<bool> proportional_polynomials(Ref a, Ref b, Budget& budget, bool& positive) {
  const auto ring = common_ring(a, b);
  if (!ring) return std::nullopt;
  return guarded<bool>([&]() -> bool {
    Expander expander(*ring, budget);
    const Fraction left = expander.expand(a);
    const Fraction right = expander.expand(b);
    if (!is_number(left.den) || !is_number(right.den)) throw NotRational{};
    // Constant denominators only scale.
    Poly p = left.num;
    Poly q = right.num;
    if (p.is_zero() || q.is_zero()) return p.is_zero() && q.is_zero();
    Rational p_lead, q_lead, p_den, q_den;
    fmpq_mpoly_get_term_coeff_fmpq(p_lead.get(), p.get(), 0, ring->get());
    fmpq_mpoly_get_term_coeff_fmpq(q_lead.get(), q.get(), 0, ring->get());
    fmpq_mpoly_get_fmpq(p_den.get(), left.den.get(), ring->get());
    fmpq_mpoly_get_fmpq(q_den.get(), right.den.get(), ring->get());
    positive = p_lead.is_negative() != q_lead.is_negative() ? p_den.is_negative() != q_den.is_negative()
                                                            : p_den.is_negative() == q_den.is_negative();
    fmpq_mpoly_scalar_div_fmpq(p.get(), p.get(), p_lead.get(), ring->get());
    fmpq_mpoly_scalar_div_fmpq(q.get(), q.get(), q_lead.get(), ring->get());
    return p == q;
  });
}

std::optional<std::vector<Rational>> real_roots(Ref node, const std::string& variable,
                                                const std::map<std::string, Rational>& values, Budget& budget) {
  const auto ring = common_ring(node, node);
  if (!ring) return std::nullopt;
  return guarded<std::vector<Rational>>([&]() -> std::vector<Rational> {
    Expander expander(*ring, budget);
    const Fraction fraction = expander.expand(node);
    Poly zeros = expander.multiply(fraction.num, fraction.den);
    for (const std::string& name : ring->names()) {
      if (name == variable) continue;
      const auto value = values.find(name);
      if (value == values.end()) throw NotRational{};
      Poly out(*ring);
      if (fmpq_mpoly_evaluate_one_fmpq(out.get(), zeros.get(), ring->index(name), value->second.get(), ring->get()) ==
          0)
        throw TooLarge{};
      zeros = out;
    }
    if (zeros.is_zero() || is_number(zeros)) return {};
    IntegerPoly poly;
    to_integers(zeros, ring->index(variable), poly);
    return real_roots_of(poly, budget);
  });
}

}  // namespace grpo::verifier
