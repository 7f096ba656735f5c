#pragma once

#include <flint/fmpq.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace grpo::verifier {

/// An exact rational number (FLINT fmpq) as a value type.
class Rational {
 public:
  Rational() { fmpq_init(value_); }
  explicit Rational(int64_t n) : Rational() { fmpz_set_si(fmpq_numref(value_), n); }
  Rational(int64_t n, int64_t d) : Rational() { fmpq_set_si(value_, n, static_cast<ulong>(d)); }
  Rational(const Rational& other) : Rational() { fmpq_set(value_, other.value_); }
  Rational(Rational&& other) noexcept : Rational() { fmpq_swap(value_, other.value_); }
  Rational& operator=(Rational other) noexcept {
    fmpq_swap(value_, other.value_);
    return *this;
  }
  ~Rational() { fmpq_clear(value_); }

  /// An unsigned decimal such as "12", "3.50", ".5"; exponent is a power of ten. REQUIRES: digits and at most one
  /// point.
  static Rational from_decimal(std::string_view text, int64_t exponent = 0);
  /// Digits in a base from 2 to 36. REQUIRES: every character is a digit or letter below the base.
  static Rational from_digits(std::string_view digits, int base);

  fmpq* get() { return value_; }
  const fmpq* get() const { return value_; }
  const fmpz* num() const { return fmpq_numref(value_); }
  const fmpz* den() const { return fmpq_denref(value_); }

  bool is_zero() const { return fmpq_is_zero(value_) != 0; }
  bool is_integer() const { return fmpz_is_one(den()) != 0; }
  bool is_negative() const { return fmpq_sgn(value_) < 0; }
  bool fits_int64() const { return is_integer() && fmpz_fits_si(num()) != 0; }
  int64_t to_int64() const { return fmpz_get_si(num()); }  // REQUIRES fits_int64()
  int64_t bits() const { return static_cast<int64_t>(fmpz_bits(num()) + fmpz_bits(den())); }
  std::string to_string() const;

  bool operator==(const Rational& other) const { return fmpq_equal(value_, other.value_) != 0; }
  bool operator<(const Rational& other) const { return fmpq_cmp(value_, other.value_) < 0; }

 private:
  fmpq_t value_;
};

Rational operator+(const Rational& a, const Rational& b);
Rational operator-(const Rational& a, const Rational& b);
Rational operator*(const Rational& a, const Rational& b);
Rational operator/(const Rational& a, const Rational& b);  // REQUIRES b != 0
Rational operator-(const Rational& a);
Rational magnitude(const Rational& a);

}  // namespace grpo::verifier
