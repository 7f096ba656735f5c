#include "verifier/rational.h"

#include <cstdlib>

namespace grpo::verifier {

Rational Rational::from_decimal(std::string_view text, int64_t exponent) {
  std::string digits;
  int64_t scale = exponent;
  bool fraction = false;
  for (const char c : text) {
    if (c == '.') {
      fraction = true;
    } else {
      digits += c;
      scale -= fraction ? 1 : 0;
    }
  }
  Rational value;
  if (!digits.empty()) fmpz_set_str(fmpq_numref(value.get()), digits.c_str(), 10);
  fmpz_t power;
  fmpz_init_set_ui(power, 10);
  fmpz_pow_ui(power, power, static_cast<ulong>(std::llabs(scale)));
  if (scale >= 0) {
    fmpq_mul_fmpz(value.get(), value.get(), power);
  } else {
    fmpq_div_fmpz(value.get(), value.get(), power);
  }
  fmpz_clear(power);
  return value;
}

Rational Rational::from_digits(std::string_view digits, int base) {
  Rational value;
  fmpz_set_str(fmpq_numref(value.get()), std::string(digits).c_str(), base);
  return value;
}

std::string Rational::to_string() const {
  char* text = fmpq_get_str(nullptr, 10, value_);
  std::string out = text;
  flint_free(text);
  return out;
}

Rational operator+(const Rational& a, const Rational& b) {
  Rational c;
  fmpq_add(c.get(), a.get(), b.get());
  return c;
}
Rational operator-(const Rational& a, const Rational& b) {
  Rational c;
  fmpq_sub(c.get(), a.get(), b.get());
  return c;
}
Rational operator*(const Rational& a, const Rational& b) {
  Rational c;
  fmpq_mul(c.get(), a.get(), b.get());
  return c;
}
Rational operator/(const Rational& a, const Rational& b) {
  Rational c;
  fmpq_div(c.get(), a.get(), b.get());
  return c;
}
Rational operator-(const Rational& a) {
  Rational c;
  fmpq_neg(c.get(), a.get());
  return c;
}

Rational magnitude(const Rational& a) { return a.is_negative() ? -a : a; }

}  // namespace grpo::verifier
