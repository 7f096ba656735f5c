#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "verifier/arb_headers.h"
#include "verifier/ast.h"

namespace grpo::verifier {

/// A complex ball (Arb acb): a midpoint with a proven error bound.
class Ball {
 public:
  Ball() { acb_init(value_); }
  Ball(const Ball& other) : Ball() { acb_set(value_, other.value_); }
  Ball(Ball&& other) noexcept : Ball() { acb_swap(value_, other.value_); }
  Ball& operator=(Ball other) noexcept {
    acb_swap(value_, other.value_);
    return *this;
  }
  ~Ball() { acb_clear(value_); }
  acb_ptr get() { return value_; }
  acb_srcptr get() const { return value_; }
  bool is_finite() const { return acb_is_finite(value_) != 0; }

 private:
  acb_t value_;
};

/// Where an expression is evaluated.
struct Point {
  std::map<std::string, Rational> values;  // of the symbols; a symbol that is missing is an error of the caller
  bool decimal_log = false;                // a logarithm written without a base has base 10 instead of e
};

struct Evaluation {
  Ball value;
  bool left_reals = false;  // a root, logarithm or inverse function was taken outside its real domain
};

/// Evaluates in ball arithmetic with the given working precision in bits. Throws Undefined for values that do not
/// exist, ValueTooLarge for magnitudes beyond 2^(2^50), ParseError for structures that are no scalar.
Evaluation evaluate(Ref node, const Point& point, int64_t precision, Budget& budget);

/// The free symbols of an expression, with how often each occurs. Opaque parts and unknown functions count as symbols
/// named by their canonical text. Throws ParseError on a sum whose bounds are no numbers.
std::map<std::string, int> free_symbols(Ref node);

}  // namespace grpo::verifier
