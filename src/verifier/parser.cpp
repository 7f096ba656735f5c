#include "verifier/parser.h"

#include <algorithm>

#include "verifier/char_class.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

// Whether a node is a name made from a word. Such a name is no factor: "so x" is no product.
bool is_name_in_words(Ref node) {
  return node->kind == Kind::kSymbol && node->text.size() > 1 && !node->parenthesized && !is_greek_letter(node->text) &&
         std::all_of(node->text.begin(), node->text.end(), [](char c) { return is_letter(c) || (c & 0x80) != 0; });
}

// Joins left and right under one node, so that a + b + c has three kids. Beyond kMaxListLength kids the sum nests
// instead, since each operator copies the kids before it.
Node flattened(Kind kind, Ref left, Ref right) {
  Node node;
  node.kind = kind;
  node.by_sign = true;
  if (left->kind == kind && !left->parenthesized && left->kids.size() < static_cast<size_t>(kMaxListLength)) {
    node.kids = left->kids;
  } else {
    node.kids = {left};
  }
  node.kids.push_back(right);
  return node;
}

// Whether a power whose exponent is no number stands last. A number behind it is a factor: 2^n 3^m.
bool ends_in_power(Ref node) {
  const Ref last = node->kind == Kind::kMul ? node->kids.back() : node;
  return last->kind == Kind::kPow && last->kids[1]->kind != Kind::kNumber;
}

// Whether a quotient of numbers, or of quantities, is an integer: 24/4 and 100 km / 2 h are to be calculated.
bool leaves_integer(Ref top, Ref bottom) {
  const auto number = [](Ref node) { return node->kind == Kind::kUnit ? node->kids[0] : node; };
  const Ref left = number(top), right = number(bottom);
  return left->kind == Kind::kNumber && right->kind == Kind::kNumber && right->number != Rational(0) &&
         right->number != Rational(1) && (left->number / right->number).is_integer();
}

// Whether a node is \nabla or a power of it.
bool is_nabla(Ref node) {
  return node->kind == Kind::kPow ? is_nabla(node->kids[0]) : node->kind == Kind::kSymbol && node->text == "nabla";
}

// Whether a node is a symbol under an arrow or in bold, a cross product, or a sum or multiple of such vectors.
bool is_vector(Ref node) {
  if (node->kind == Kind::kApply) return node->text == "cross" || node->text == "beside";
  const bool linear = node->kind == Kind::kAdd || node->kind == Kind::kMul || node->kind == Kind::kNeg;
  return node->vector || (linear && std::any_of(node->kids.begin(), node->kids.end(), is_vector));
}

bool is_mod(const Token& token) {
  return (token.type == Token::Type::kWord || token.type == Token::Type::kText) && token.text == "mod";
}

bool is_plus_minus(const Token& token) {
  return token.type == Token::Type::kCommand && (token.text == "pm" || token.text == "mp");
}

}  // namespace

Ref Parser::expression(int min_power) {
  const DepthGuard guard(*this);
  Ref left = operand();
  bool done = false;
  while (!done) left = infix(left, min_power, done);
  return left;
}

Ref Parser::infix(Ref left, int min_power, bool& done) {
  const Token& token = peek();
  if (min_power <= kSumPower && (token.is_punct("+") || token.is_punct("-"))) {
    const bool minus = take().text == "-";
    if (!minus && at_punct("/") && peek(1).is_punct("-")) {  // a +/- b
      at_ += 2;
      return arena_.make(Kind::kPlusMinus, {left, expression(kSumPower + 1)}, "+");
    }
    Ref right = expression(kSumPower + 1);
    if (minus) right = arena_.make(Kind::kNeg, {right});
    return arena_.keep(flattened(Kind::kAdd, left, right));
  }
  if (min_power <= kSumPower && is_plus_minus(token)) {
    const std::string sign = take().text == "pm" ? "+" : "-";
    return arena_.make(Kind::kPlusMinus, {left, expression(kSumPower + 1)}, sign);
  }
  if (min_power <= kProductPower && (is_times(token) || letter_times(left))) {
    const std::string sign = take().text;
    if (const Ref product = vector_product(left, sign)) return product;
    return arena_.keep(flattened(Kind::kMul, left, factor_behind(left)));
  }
  if (min_power <= kChoosePower && at_command("choose")) {
    ++at_;
    return arena_.make(Kind::kBinomial, {left, expression(kChoosePower + 1)});
  }
  if (min_power <= kProductPower && is_divide(token)) {
    ++at_;
    if (left->kind == Kind::kNumber && token.is_punct("/") && at_punct("/") &&
        !peek().space_before) {  // Python's 7 // 2
      ++at_;
      const Ref quotient = arena_.make(Kind::kDiv, {left, expression(kProductPower + 1)});
      return arena_.make(Kind::kFunction, {quotient}, "floor");
    }
    const bool sign = !token.is_punct("/");
    if (const Ref derivative = typed_derivative(left)) return derivative;
    return quotient(left, factor_behind(left), sign);
  }
  if (min_power <= kUnitPower && (at_command("pmod") || at_command("bmod") || at_command("mod"))) {
    ++at_;
    return arena_.make(Kind::kApply, {left, at_punct("{") ? group() : primary()}, "mod");
  }
  if (min_power <= kUnitPower && at_punct("(") && is_mod(peek(1))) {  // 3 (mod 7)
    at_ += 2;
    const Ref modulus = expression();
    expect(")");
    return arena_.make(Kind::kApply, {left, modulus}, "mod");
  }
  if (at_punct("(") && is_mod(peek(1))) {
    done = true;
    return left;
  }
  if (starts_unit(left)) {
    if (min_power <= kUnitPower) return unit_of(left);
    done = true;
    return left;
  }
  if (min_power <= kProductPower && starts_operand()) {
    if (left->kind == Kind::kUnit) return joined_quantity(left);
    const bool closed =
        at_ > 0 && (tokens_[at_ - 1].is_punct(")") || tokens_[at_ - 1].is_punct("}") || tokens_[at_ - 1].is_punct("!"));
    if (peek().type == Type::kNumber && !closed && !ends_in_power(left)) fail("a number follows a value");
    if (is_name_in_words(left)) fail("words in a row");
    if (const Ref product = vector_product(left, "")) return product;
    if (peek().type == Type::kWord && !is_function_name(peek().text) && lower(peek().text) != "pi")
      fail("words in a row");
    return arena_.keep(flattened(Kind::kMul, left, expression(kProductPower + 1)));
  }
  done = true;
  return left;
}

// The next factor. Behind a quantity it takes its own unit, as in 3 m * 4 m; elsewhere the unit of a product belongs to
// the whole.
Ref Parser::factor_behind(Ref left) {
  Ref right = expression(kProductPower + 1);
  if (contains(left, Kind::kUnit) && starts_unit(right)) right = unit_of(right);
  const bool letter = peek().type == Type::kSymbol && peek().space_before && find_unit(peek().text);
  const Ref unit = left->kind == Kind::kMul ? left->kids.back() : nullptr;  // 24 m / 2 m
  const bool quantities = letter && right->kind == Kind::kNumber && unit != nullptr && unit->kind == Kind::kSymbol &&
                          unit->spaced && find_unit(unit->text);
  if (quantities) right = arena_.keep(flattened(Kind::kMul, right, primary()));
  return right;
}

// 24 \div 4 and 24/4 are to be calculated; 24/5 is a number.
Ref Parser::quotient(Ref left, Ref right, bool sign) {
  Node node;
  node.kind = Kind::kDiv;
  node.kids = {left, right};
  node.by_sign = sign || leaves_integer(left, right);
  return arena_.keep(std::move(node));
}

// Keeps a x b apart from b x a and from a . b, and \nabla f from \nabla . f. In 2a x b only a is the left factor. Null,
// and no token taken, when no vector stands here.
Ref Parser::vector_product(Ref left, const std::string& sign) {
  const bool factors = left->kind == Kind::kMul && !left->parenthesized;
  const Ref last = factors ? left->kids.back() : left;
  const bool operation = is_nabla(last);
  if (!is_vector(last) && !operation) return nullptr;
  const bool vector_next = peek().vector || at_punct("(") || at_punct("{");
  if (!vector_next && !(operation && starts_operand())) return nullptr;
  const Ref right = postfix(primary());
  if (!operation && !is_vector(right)) return arena_.keep(flattened(Kind::kMul, left, right));
  std::vector<Ref> kids{last, right};
  const std::string name = sign == "times" ? "cross" : sign.empty() ? "beside" : "dot";
  const bool commutes = name == "dot" && !operation && !is_nabla(right);
  if (commutes && canonical_text(right) < canonical_text(last)) std::swap(kids[0], kids[1]);
  const Ref product = arena_.make(Kind::kApply, std::move(kids), name);
  if (!factors) return product;
  Node out = *left;
  out.kids.back() = product;
  return arena_.keep(std::move(out));
}

Ref Parser::operand() {
  if (accept("-")) {
    const DepthGuard guard(*this);
    return arena_.make(Kind::kNeg, {expression(kProductPower)});
  }
  if (accept("+")) {
    if (at_punct("/") && peek(1).is_punct("-")) {
      at_ += 2;
      return arena_.make(Kind::kPlusMinus, {expression(kProductPower)}, "+");
    }
    const DepthGuard guard(*this);
    return expression(kProductPower);
  }
  if (is_plus_minus(peek())) {
    const std::string sign = take().text == "pm" ? "+" : "-";
    const DepthGuard guard(*this);
    return arena_.make(Kind::kPlusMinus, {expression(kProductPower)}, sign);
  }
  return postfix(primary());
}

bool Parser::starts_operand() const {
  const Token& token = peek();
  switch (token.type) {
    case Type::kNumber:
      return true;
    case Type::kSymbol:
      return token.text != "U" || !(peek(1).is_punct("(") || peek(1).is_punct("[") || peek(1).is_punct("\\{"));
    case Type::kWord:
      return conjunction(token.text).empty() && token.text != "in" && lower(token.text) != "union";
    case Type::kText:
      return false;
    case Type::kPunct:
      return token.text == "(" || (token.text == "[" && !reversed_) || token.text == "{" || token.text == "\\{" ||
             (token.text == "|" && bars_ == 0);
    case Type::kCommand: {
      static constexpr std::string_view kOperands[] = {
          "frac",       "dfrac",        "tfrac",  "cfrac", "nicefrac", "sfrac",  "flatfrac", "sqrt",   "rootof",
          "cuberootof", "fourthrootof", "pi",     "infty", "binom",    "tbinom", "dbinom",   "lfloor", "lceil",
          "sum",        "prod",         "langle", "imath", "varpi",    "angle",  "triangle"};
      return std::find(std::begin(kOperands), std::end(kOperands), token.text) != std::end(kOperands) ||
             is_function_name(token.text) || token.text.starts_with("begin:");
    }
    case Type::kEnd:
      return false;
  }
  return false;
}

// Whether the x of 3 x 10^8 or 3x10^8 follows, which multiplies a number by a power of ten.
bool Parser::letter_times(Ref left) const {
  return left->kind == Kind::kNumber && peek().is(Type::kSymbol, "x") && peek(1).is(Type::kNumber, "10") &&
         peek().space_before == peek(1).space_before && peek(2).is_punct("^");
}

Ref Parser::postfix(Ref left) {
  while (true) {
    if (at_punct("!")) {
      ++at_;
      const bool twice = accept("!");
      left = arena_.make(Kind::kFactorial, {left}, twice ? "!!" : "!");
    } else if (at_punct("{") && peek(1).is_punct("}")) {
      at_ += 2;  // 25{}^\circ, 81{}
    } else if (at_punct("^")) {
      left = power_of(left);
    } else if (at_punct("_")) {
      left = subscript(left);
    } else if (at_punct("'") && left->kind == Kind::kSymbol) {
      ++at_;
      left = apply(arena_.make(Kind::kSymbol, {}, left->text + "'"));
    } else if (at_punct("%")) {
      ++at_;
      left = arena_.make(Kind::kPercent, {left});
    } else if (at_command("degree") || at_command("circ")) {
      ++at_;
      left = arena_.make(Kind::kUnit, {left}, "degree");
    } else {
      break;
    }
  }
  return left->kind == Kind::kUnit && left->text == "degree" ? degree_scale(left) : left;
}

Ref Parser::power_of(Ref base) {
  const DepthGuard guard(*this);
  expect("^");
  const bool braced_circle = at_punct("{") && peek(1).is(Type::kCommand, "circ") && peek(2).is_punct("}");
  if (at_command("circ") || braced_circle || at_command("degree")) {
    at_ += braced_circle ? 3 : 1;
    return arena_.make(Kind::kUnit, {base}, "degree");
  }
  const bool letter_o = base->kind == Kind::kNumber && (peek().is(Type::kText, "o") || peek().is(Type::kSymbol, "o"));
  const bool braced_o = base->kind == Kind::kNumber && at_punct("{") &&
                        (peek(1).is(Type::kText, "o") || peek(1).is(Type::kSymbol, "o")) && peek(2).is_punct("}");
  if (letter_o || braced_o) {  // 45^\text{o}
    at_ += braced_o ? 3 : 1;
    return arena_.make(Kind::kUnit, {base}, "degree");
  }
  if (at_punct("{") && peek(1).is_punct("'")) {  // y^{\prime\prime}
    ++at_;
    std::string name = base->text;
    while (accept("'")) name += "'";
    expect("}");
    return base->kind == Kind::kSymbol ? apply(arena_.make(Kind::kSymbol, {}, name)) : base;
  }
  if (at_punct("'")) return base;
  return arena_.make(Kind::kPow, {base, exponent()});
}

Ref Parser::exponent() {
  if (accept("-")) return arena_.make(Kind::kNeg, {exponent()});
  accept("+");
  const Ref value = at_punct("{") ? group() : primary();
  return at_punct("^") ? power_of(value) : value;
}

}  // namespace grpo::verifier
