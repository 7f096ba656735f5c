#include "reward/exact_value.h"

#include <charconv>
#include <numeric>
#include <system_error>
#include <utility>

namespace grpo::reward {
namespace {

constexpr int kDeepest = 100;

struct OverBudget {};
struct Malformed {
  std::string why;
};

int64_t product(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) throw OverBudget{};
  return result;
}

int64_t sum(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) throw OverBudget{};
  return result;
}

Fraction fraction(int64_t numerator, int64_t denominator) {
  if (denominator == 0) throw Malformed{"it divides by zero"};
  const int64_t common = std::gcd(numerator, denominator);  // std::gcd ignores signs
  const int64_t sign = denominator < 0 ? -1 : 1;
  return {product(sign, numerator / common), product(sign, denominator / common)};
}

Fraction apply(char operation, Fraction a, Fraction b) {
  if (operation == '*') return fraction(product(a.numerator, b.numerator), product(a.denominator, b.denominator));
  if (operation == '/') return fraction(product(a.numerator, b.denominator), product(a.denominator, b.numerator));
  const int64_t right = product(b.numerator, a.denominator);
  return fraction(sum(product(a.numerator, b.denominator), operation == '+' ? right : product(-1, right)),
                  product(a.denominator, b.denominator));
}

/// Evaluates one expression by recursive descent and notes the numbers it uses.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Fraction all() {
    const Fraction value = expression();
    if (peek() != 0) throw Malformed{"it is no expression of numbers, + - * / and brackets"};
    return value;
  }
  std::vector<int64_t> numbers;  // in the order in which they occur

 private:
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  Fraction expression() {
    Fraction value = term();
    while (peek() == '+' || peek() == '-') {
      const char operation = text_[at_++];
      value = apply(operation, value, term());
    }
    return value;
  }

  Fraction term() {
    Fraction value = factor();
    while (peek() == '*' || peek() == '/') {
      const char operation = text_[at_++];
      value = apply(operation, value, factor());
    }
    return value;
  }

  Fraction factor() {
    if (++depth_ > kDeepest) throw OverBudget{};
    const Fraction value = signed_factor();
    --depth_;
    return value;
  }

  Fraction signed_factor() {
    const char next = peek();
    if (next != '-' && next != '+' && next != '(') return number();
    ++at_;
    if (next == '-') return apply('*', {-1, 1}, factor());
    if (next == '+') return factor();
    const Fraction value = expression();
    if (peek() != ')') throw Malformed{"a bracket is not closed"};
    ++at_;
    return value;
  }

  Fraction number() {
    int64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) throw OverBudget{};
    if (error != std::errc() || *begin == '-') throw Malformed{"it is no expression of numbers, + - * / and brackets"};
    at_ += static_cast<size_t>(end - begin);
    numbers.push_back(value);
    return {value, 1};
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

ExactValue evaluate_exactly(std::string_view text) {
  Parser parser(text);
  try {
    const Fraction value = parser.all();
    return {.value = value, .numbers = std::move(parser.numbers)};
  } catch (const Malformed& malformed) {
    return {.kind = ExactValue::Kind::kMalformed, .why = malformed.why};
  } catch (const OverBudget&) {
    return {.kind = ExactValue::Kind::kOverBudget, .why = "it is too deep or its numbers too large"};
  }
}

}  // namespace grpo::reward
