#include "reward/parser.h"

#include <algorithm>

#include "reward/units.h"

namespace grpo::reward {
namespace {

constexpr int kUnitPower = 5;
constexpr int kSumPower = 10;
constexpr int kProductPower = 20;

bool is_value(Ref node) { return node->kind <= Kind::kUnit; }

// a + b + c is one node. A sum of thousands nests instead, since each operator copies the operands before it.
Node flattened(Kind kind, Ref left, Ref right) {
  Node node;
  node.kind = kind;
  if (left->kind == kind && !left->parenthesized && left->kids.size() < static_cast<size_t>(kMaxListLength)) {
    node.kids = left->kids;
  } else {
    node.kids = {left};
  }
  node.kids.push_back(right);
  return node;
}

bool is_times(const Token& token) {
  return token.is_punct("*") || (token.type == Token::Type::kCommand &&
                                 (token.text == "cdot" || token.text == "times" || token.text == "ast" || token.text == "bullet"));
}

bool is_divide(const Token& token) {
  return token.is_punct("/") || (token.type == Token::Type::kCommand && (token.text == "div" || token.text == "slash"));
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
    if (accept("/") && accept("-")) return arena_.make(Kind::kPlusMinus, {left, expression(kSumPower + 1)}, "+");  // a +/- b
    Ref right = expression(kSumPower + 1);
    if (minus) right = arena_.make(Kind::kNeg, {right});
    return arena_.keep(flattened(Kind::kAdd, left, right));
  }
  if (min_power <= kSumPower && is_plus_minus(token)) {
    const std::string sign = take().text == "pm" ? "+" : "-";
    return arena_.make(Kind::kPlusMinus, {left, expression(kSumPower + 1)}, sign);
  }
  if (min_power <= kProductPower && (is_times(token) || letter_times(left))) {
    ++at_;
    return arena_.keep(flattened(Kind::kMul, left, expression(kProductPower + 1)));
  }
  if (min_power <= kProductPower && is_divide(token)) {
    ++at_;
    return arena_.make(Kind::kDiv, {left, expression(kProductPower + 1)});
  }
  if (min_power <= kUnitPower && (at_command("pmod") || at_command("bmod") || at_command("mod"))) {
    ++at_;
    return arena_.make(Kind::kApply, {left, at_punct("{") ? group() : primary()}, "mod");
  }
  if (min_power <= kUnitPower && at_punct("(") && peek(1).is(Type::kWord, "mod")) {  // 3 (mod 7)
    at_ += 2;
    const Ref modulus = expression();
    expect(")");
    return arena_.make(Kind::kApply, {left, modulus}, "mod");
  }
  if (at_punct("(") && peek(1).is(Type::kWord, "mod")) {
    done = true;
    return left;
  }
  if (starts_unit(left)) {
    if (min_power <= kUnitPower) return unit_of(left);
    done = true;
    return left;
  }
  if (min_power <= kProductPower && starts_operand()) {
    if (left->kind == Kind::kUnit) return arena_.make(Kind::kAdd, {left, expression(kSumPower + 1)});  // 5 ft 6 in
    const bool closed = at_ > 0 && (tokens_[at_ - 1].is_punct(")") || tokens_[at_ - 1].is_punct("}") || tokens_[at_ - 1].is_punct("!"));
    if (peek().type == Type::kNumber && !closed) fail("a number follows a value");
    if (peek().type == Type::kWord && !is_function_name(peek().text) && lower(peek().text) != "pi") fail("words in a row");
    return arena_.keep(flattened(Kind::kMul, left, expression(kProductPower + 1)));
  }
  done = true;
  return left;
}

Ref Parser::operand() {
  if (accept("-")) {
    const DepthGuard guard(*this);
    return arena_.make(Kind::kNeg, {expression(kProductPower)});
  }
  if (accept("+")) {
    if (accept("/") && accept("-")) return arena_.make(Kind::kPlusMinus, {expression(kProductPower)}, "+");
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
    case Type::kNumber: return true;
    case Type::kSymbol: return token.text != "U" || !(peek(1).is_punct("(") || peek(1).is_punct("[") || peek(1).is_punct("\\{"));
    case Type::kWord: return conjunction(token.text).empty() && token.text != "in" && lower(token.text) != "union";
    case Type::kText: return false;
    case Type::kPunct: return token.text == "(" || token.text == "[" || token.text == "{" || token.text == "\\{" || (token.text == "|" && bars_ == 0);
    case Type::kCommand: {
      static constexpr std::string_view kOperands[] = {
          "frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac", "flatfrac", "sqrt", "rootof", "cuberootof", "fourthrootof", "pi", "infty", "binom", "tbinom", "dbinom", "lfloor",
          "lceil", "sum", "prod", "langle", "imath", "varpi", "angle", "triangle"};
      return std::find(std::begin(kOperands), std::end(kOperands), token.text) != std::end(kOperands) ||
             is_function_name(token.text) || token.text.starts_with("begin:");
    }
    case Type::kEnd: return false;
  }
  return false;
}

// 3 x 10^8: the letter between a number and a power of ten.
bool Parser::letter_times(Ref left) const {
  return left->kind == Kind::kNumber && peek().is(Type::kSymbol, "x") && peek().space_before && peek(1).is(Type::kNumber, "10") &&
         peek(1).space_before && peek(2).is_punct("^");
}

bool Parser::starts_unit(Ref left) const {
  if (!is_value(left)) return false;
  const Token& token = peek();
  if (token.type == Type::kText) return conjunction(token.text).empty();
  if (is_fraction_command(token)) return peek(1).is_punct("{") && peek(2).type == Type::kText && is_unit_formula(peek(2).text);
  if (token.type == Type::kCommand) {
    return token.text == "dollar" || token.text == "euro" || token.text == "pound" || token.text == "yen" || token.text == "rupee";
  }
  if (token.type != Type::kWord || peek(1).is_punct("(")) return false;
  return token.text != "pi" && (find_unit(token.text).has_value() || scale_word(token.text).has_value() || (!is_function_name(token.text) && conjunction(token.text).empty() && left->kind == Kind::kNumber));
}

std::string Parser::take_unit_phrase() {
  std::string phrase;
  while (true) {
    const Token token = take();
    phrase += (phrase.empty() ? "" : " ") + token.text;
    if (at_punct("^")) {
      ++at_;
      phrase += "^" + group_text();
    }
    const bool joins = (is_divide(peek()) || is_times(peek())) && (peek(1).type == Type::kText || peek(1).type == Type::kWord);
    if (joins) phrase += is_divide(take()) ? " / " : " * ";
    const bool another = (peek().type == Type::kText || (peek().type == Type::kWord && !is_function_name(peek().text))) && conjunction(peek().text).empty();
    if (!joins && !another) return phrase;
  }
}

// \frac{\text{miles}}{\text{hour}}
std::string Parser::take_unit_fraction() {
  ++at_;
  const std::string top = group_text();
  return top + " / " + group_text();
}

// 5 million dollars: takes the words that scale a number off the phrase and multiplies.
Ref Parser::scaled(Ref value, std::string& phrase) {
  while (true) {
    const size_t end = std::min(phrase.find(' '), phrase.size());
    const auto scale = scale_word(std::string_view(phrase).substr(0, end));
    if (!scale) return value;
    value = arena_.make(Kind::kMul, {value, arena_.number(Rational(*scale))});
    phrase = trim(std::string_view(phrase).substr(end));
  }
}

Ref Parser::unit_of(Ref value) {
  const Token& token = peek();
  const std::string name = token.text;
  std::string phrase;
  if (token.type == Type::kCommand && !is_fraction_command(token)) {
    ++at_;
    phrase = name == "pound" ? "GBP" : name;
  } else {
    phrase = is_fraction_command(token) ? take_unit_fraction() : take_unit_phrase();
  }
  value = scaled(value, phrase);
  if (phrase.empty()) return value;
  const auto unit = parse_unit(phrase);
  if (!unit) fail("words that are no unit: " + phrase);
  const bool percent = unit->dimensions.size() == 1 && unit->dimensions.begin()->first == "percent";
  const auto wrap = [&](Ref v) { return percent ? arena_.make(Kind::kPercent, {v}) : arena_.make(Kind::kUnit, {v}, phrase); };
  if (value->kind == Kind::kAdd && contains(value->kids[0], Kind::kUnit)) {  // 5 ft + 6 in
    std::vector<Ref> kids = value->kids;
    kids.back() = wrap(kids.back());
    return arena_.make(Kind::kAdd, std::move(kids));
  }
  return unit->says_nothing() ? value : wrap(value);
}

Ref Parser::postfix(Ref left) {
  while (true) {
    if (at_punct("!")) {
      ++at_;
      const bool twice = accept("!");
      left = arena_.make(Kind::kFactorial, {left}, twice ? "!!" : "!");
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
  if (left->kind == Kind::kUnit && left->text == "degree") {  // 25 degrees C
    const Token& token = peek();
    const bool scale = (token.type == Type::kSymbol || token.type == Type::kText) && (token.text == "C" || token.text == "F");
    if (scale) left = arena_.make(Kind::kUnit, {left->kids[0]}, take().text == "C" ? "celsius" : "fahrenheit");
  }
  return left;
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
  const bool braced_o = base->kind == Kind::kNumber && at_punct("{") && (peek(1).is(Type::kText, "o") || peek(1).is(Type::kSymbol, "o")) && peek(2).is_punct("}");
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

}  // namespace grpo::reward
