#include <algorithm>
#include <string_view>
#include <utility>

#include "verifier/char_class.h"
#include "verifier/number_words.h"
#include "verifier/parser.h"
#include "verifier/text_answer.h"

namespace grpo::verifier {
namespace {

bool is_proper(Ref fraction) {
  const auto literal = [](Ref node) {
    return node->kind == Kind::kNumber && node->number.is_integer() && !node->number.is_negative();
  };
  return fraction->kind == Kind::kDiv && literal(fraction->kids[0]) && literal(fraction->kids[1]) &&
         fraction->kids[0]->number < fraction->kids[1]->number;
}

// The value of a digit, 99 when it is none. Small letters are digits in base 16 only, since 2a_{11} is twice the term
// of a sequence.
int digit_value(char c, int base) {
  if (is_digit(c)) return c - '0';
  if (is_upper(c)) return c - 'A' + 10;
  return is_lower(c) && base == 16 ? c - 'a' + 10 : 99;
}

bool fits_base(const std::string& digits, const std::string& base_text) {
  const bool number =
      !base_text.empty() && base_text.size() <= 2 && std::all_of(base_text.begin(), base_text.end(), is_digit);
  const int base = number ? std::stoi(base_text) : 0;
  if (base < 2 || base > 36) return false;
  return std::all_of(digits.begin(), digits.end(), [base](char c) { return c == '.' || digit_value(c, base) < base; });
}

// Letters that name functions far more often than factors.
bool names_function(std::string_view name) {
  return name.size() > 0 && std::string_view("fghFGHP").find(name[0]) != std::string_view::npos &&
         (name.size() == 1 || name[1] == '_' || name[1] == '\'' || name[1] == '^');
}

// Whether a node may be the n of C(n, k): it is a number, n or m.
bool is_count(Ref node) {
  return node->kind == Kind::kNumber || (node->kind == Kind::kSymbol && (node->text == "n" || node->text == "m"));
}

bool is_plain_argument(Ref node) {
  if (node->kind == Kind::kTuple) return std::all_of(node->kids.begin(), node->kids.end(), is_plain_argument);
  return node->kind == Kind::kSymbol || node->kind == Kind::kNumber;
}

}  // namespace

bool is_fraction_command(const Token& token) {
  if (token.type != Token::Type::kCommand) return false;
  static constexpr std::string_view kNames[] = {"frac", "tfrac", "dfrac", "cfrac", "nicefrac", "sfrac", "flatfrac"};
  return std::find(std::begin(kNames), std::end(kNames), token.text) != std::end(kNames);
}

Ref Parser::primary() {
  while (at_punct("{") && peek(1).is_punct("}") && peek(2).type != Type::kEnd) at_ += 2;  // {} says nothing
  const Token& token = peek();
  switch (token.type) {
    case Type::kNumber:
      return number();
    case Type::kSymbol:
      return symbol();
    case Type::kWord:
      return word();
    case Type::kText:
      return text_operand();
    case Type::kCommand:
      return command();
    case Type::kEnd:
      fail("the answer ends where a value should stand");
    case Type::kPunct:
      break;
  }
  if (token.text == "\\{" && peek(1).is(Type::kCommand, "begin:array")) return braced_rows();
  if (token.text == "{") return group();
  if (token.text == "|") return bars();
  if (token.text == "_" || token.text == "^") {
    if (const Ref count = leading_combination()) return count;
  }
  if (const Ref based = bracketed_based_number()) return based;
  if (token.text == "(" || token.text == "[" || token.text == "\\{" || token.text == "]") return bracket();
  fail("\"" + token.text + "\" where a value should stand");
}

Ref Parser::number() {
  if (const Ref based = based_number()) return based;
  if (const Ref count = typed_combination()) return count;
  const Token token = take();
  Node node;
  node.number = token.number;
  node.text = token.text;
  node.significant_digits = token.significant_digits;
  node.fraction_digits = token.fraction_digits;
  return mixed_number(arena_.keep(std::move(node)));
}

// 2A_{16}, A3_{16}, 2\text{A}_{16}, 2\,1\,3_5: digits and letters up to a subscript that is a base they fit. Null when
// it is no such numeral.
Ref Parser::based_number() {
  std::string digits;
  size_t count = 0;
  bool numeral = false;  // has a digit, or is of several letters
  for (; count < 40; ++count) {
    const Token& token = peek(count);
    const bool letters = (token.type == Type::kSymbol && token.text.size() == 1) ||
                         (token.type == Type::kText && token.text.size() <= 4);
    const bool number = token.type == Type::kNumber && (count == 0 || token.significant_digits == 0);
    if (!letters && !number) break;
    numeral = numeral || number || count > 0 || token.text.size() > 1;
    digits += token.text;
  }
  if (!numeral || !peek(count).is_punct("_")) return nullptr;
  const size_t start = std::exchange(at_, at_ + count + 1);
  const std::string base = base_text();
  if (!fits_base(digits, base)) {
    at_ = start;
    if (peek().type == Type::kNumber && count == 1) fail("a number with a subscript that is no base of it");
    return nullptr;
  }
  return digits_in_base(digits, base);
}

// (5B)_{16}
Ref Parser::bracketed_based_number() {
  if (!at_punct("(")) return nullptr;
  std::string digits;
  size_t count = 1;
  for (; count < 40 && (peek(count).type == Type::kNumber || peek(count).type == Type::kSymbol); ++count)
    digits += peek(count).text;
  if (count < 3 || !peek(count).is_punct(")") || !peek(count + 1).is_punct("_")) return nullptr;
  const size_t start = std::exchange(at_, at_ + count + 2);
  const std::string base = base_text();
  if (fits_base(digits, base)) return digits_in_base(digits, base);
  at_ = start;
  return nullptr;
}

// 8, {8}, {(8)}, {\text{eight}}
std::string Parser::base_text() {
  std::string text = group_text();
  if (text.size() > 2 && text.front() == '(' && text.back() == ')') text = text.substr(1, text.size() - 2);
  if (const auto value = number_word(text)) text = value->to_string();
  return text;
}

// The number of tokens of a proper fraction of two integer literals that stands here, or 0: \frac34, \frac{3}4, ...
size_t Parser::literal_fraction_end() const {
  size_t at = 1;
  const auto literal = [&]() -> const Token* {
    const bool in_braces = peek(at).is_punct("{") && peek(at + 2).is_punct("}");
    const Token& token = peek(at + (in_braces ? 1 : 0));
    if (token.type != Type::kNumber || !token.number.is_integer() || token.significant_digits != 0) return nullptr;
    at += in_braces ? 3 : 1;
    return &token;
  };
  const Token* top = literal();
  const Token* bottom = top == nullptr ? nullptr : literal();
  return bottom != nullptr && top->number < bottom->number ? at : 0;
}

// 2\frac34 and "1 1/2" are sums; 4\cdot\frac16 and 2\frac{x}{3} are products.
Ref Parser::mixed_number(Ref whole) {
  if (whole->significant_digits != 0 || !whole->number.is_integer()) return whole;
  if (is_fraction_command(peek())) {
    const size_t end = literal_fraction_end();
    const bool degrees =
        peek(end).is_punct("^") && (peek(end + 1).is(Type::kCommand, "circ") ||
                                    (peek(end + 1).is_punct("{") && peek(end + 2).is(Type::kCommand, "circ")));
    if (end == 0 || (peek(end).is_punct("^") && !degrees) || peek(end).is_punct("!")) return whole;
    ++at_;
    return arena_.make(Kind::kAdd, {whole, fraction()});
  }
  const bool plain =
      peek().type == Type::kNumber && peek().space_before && peek(1).is_punct("/") && peek(2).type == Type::kNumber;
  if (!plain) return whole;
  const Ref part = arena_.make(Kind::kDiv, {arena_.number(peek().number), arena_.number(peek(2).number)});
  if (!is_proper(part)) fail("two numbers in a row");
  at_ += 3;
  return arena_.make(Kind::kAdd, {whole, part});
}

Ref Parser::digits_in_base(const std::string& digits, const std::string& base_text) {
  if (!fits_base(digits, base_text)) fail("a digit that its base does not have");
  const int base = std::stoi(base_text);
  const size_t point = digits.find('.');
  std::string whole;
  for (const char c : digits) {
    if (c != '.') whole += c;
  }
  Rational scale(1);
  for (size_t i = point; i != std::string::npos && i + 1 < digits.size(); ++i) scale = scale * Rational(base);
  return arena_.number(Rational::from_digits(whole, base) / scale);
}

std::string Parser::group_text() {
  if (!at_punct("{")) return take().text;
  ++at_;
  std::string text;
  int depth = 1;
  while (peek().type != Type::kEnd) {
    const Token token = take();
    if (token.is_punct("{")) ++depth;
    if (token.is_punct("}") && --depth == 0) return text;
    text += token.text;
  }
  fail("a subscript that never closes");
}

Ref Parser::subscript(Ref base) {
  expect("_");
  if (base->kind == Kind::kNumber && base->parenthesized) return digits_in_base(base->text, base_text());  // (52)_8
  if (base->kind != Kind::kSymbol) fail("a subscript on something that is no symbol");
  return apply(arena_.make(Kind::kSymbol, {}, base->text + "_" + group_text()));
}

Ref Parser::symbol() {
  if (const Ref based = based_number()) return based;
  if (const Ref count = combination()) return count;
  const Token token = take();
  const bool marked = at_punct("_") || at_punct("'");
  if (token.text == "i" && !marked && !token.vector && !sums_over_i_) return arena_.make(Kind::kImaginary);
  if (token.text == "e" && !marked) return arena_.make(Kind::kEuler);
  Node node;
  node.kind = Kind::kSymbol;
  node.text = token.text;
  node.spaced = token.space_before;
  node.vector = token.vector;
  const auto inverse_sign = {"^", "{", "-", "1", "}", "("};  // f^{-1}(x) is the value of another function, no quotient
  size_t ahead = 0;
  const bool inverse = !marked && names_function(token.text) &&
                       std::all_of(inverse_sign.begin(), inverse_sign.end(),
                                   [&](const char* sign) { return peek(ahead++).text == sign; });
  if (inverse) {
    node.text += "^{-1}";
    at_ += 5;
  }
  const Ref name = arena_.keep(std::move(node));
  return marked ? name : apply(name);
}

// f(x), P(A), N(n), I(0) are applications; n(n+1) and k(4k+1) are products.
Ref Parser::apply(Ref name) {
  if (at_punct("_") || at_punct("'") || !at_punct("(")) return name;
  const size_t start = at_;
  ++at_;
  const Ref argument = bracket_elements("(");
  if (!names_function(name->text) && !is_plain_argument(argument)) {
    at_ = start;
    return name;
  }
  const bool several = argument->kind == Kind::kTuple && !argument->parenthesized;
  const bool numbers = several && argument->kids.size() == 2 && argument->kids[0]->kind == Kind::kNumber &&
                       argument->kids[1]->kind == Kind::kNumber;
  const bool count = several && argument->kids.size() == 2 && name->text == "C" && is_count(argument->kids[0]);
  if (count) return arena_.make(Kind::kBinomial, argument->kids);  // C(10, 3), C(n, 3)
  const bool arrangements = numbers && name->text == "P" && !(argument->kids[0]->number < argument->kids[1]->number);
  if (arrangements && argument->kids[0]->number.is_integer() && argument->kids[1]->number.is_integer())
    return count_of('P', argument->kids[0]->number, argument->kids[1]->number);  // P(7, 3)
  return arena_.make(Kind::kApply, several ? argument->kids : std::vector<Ref>{argument}, name->text);
}

// Words that are values: pi, infinity, half.
Ref Parser::named_value(const std::string& low) {
  if (low == "pi") return arena_.make(Kind::kPi);
  if (low == "inf" || low == "infinity" || low == "infty" || low == "oo") return arena_.make(Kind::kInfinity);
  return low == "half" ? arena_.number(Rational(1, 2)) : nullptr;  // read_phrases() has read "seven" and its like
}

Ref Parser::word() {
  const Token token = take();
  const std::string low = lower(token.text);
  if (const Ref value = named_value(low)) return value;
  if (is_function_name(token.text)) return function(token.text);
  if (!conjunction(low).empty()) fail("a conjunction where a value should stand");
  const std::string name = is_capitals(token.text) ? token.text : low;
  if (at_punct("(")) {
    if (const Ref call = python_call(name)) return call;
  }
  return arena_.make(Kind::kSymbol, {}, name);
}

// factorial(5), Fraction(2, 5), comb(7, 3), as Python writes them. Null for other names, and nothing is taken.
Ref Parser::python_call(const std::string& name) {
  const size_t start = at_;
  if (name == "factorial") return arena_.make(Kind::kFactorial, {bracket()}, "!");
  const bool quotient = name == "fraction" || name == "rational";
  const bool choice = name == "comb" || name == "binomial" || name == "binom";
  if (!quotient && !choice) return nullptr;
  const Ref argument = bracket();
  if (argument->kind == Kind::kTuple && argument->kids.size() == 2 && argument->text == "()")
    return arena_.make(quotient ? Kind::kDiv : Kind::kBinomial, argument->kids);
  at_ = start;
  return nullptr;
}

// A single word is a name; a sentence is no mathematics.
Ref Parser::text_operand() {
  if (const Ref based = based_number()) return based;
  if (const Ref count = combination()) return count;  // \text{C}_7^3
  const Token token = take();
  if (const Ref value = named_value(lower(token.text))) return value;
  if (peek().type == Type::kText && conjunction(peek().text).empty()) fail("a sentence");
  const Ref name = arena_.make(Kind::kSymbol, {},
                               is_capitals(token.text) || token.text.size() == 1 ? token.text : lower(token.text));
  return at_punct("(") ? apply(name) : name;
}

Ref Parser::group() {
  expect("{");
  const DepthGuard guard(*this);
  if (accept("}")) return arena_.make(Kind::kSymbol, {}, "");
  const int bars = std::exchange(bars_, 0);
  Ref inside = list();
  if (at_command("choose")) {
    ++at_;
    inside = arena_.make(Kind::kBinomial, {inside, list()});
  } else if (at_command("over")) {
    ++at_;
    inside = arena_.make(Kind::kDiv, {inside, list()});
  }
  bars_ = bars;
  expect("}");
  if (inside->kind != Kind::kAdd && inside->kind != Kind::kMul) return inside;
  Node node = *inside;
  node.parenthesized = true;
  return arena_.keep(std::move(node));
}

Ref Parser::bars() {
  expect("|");
  ++bars_;
  const Ref inside = list();
  --bars_;
  expect("|");
  return arena_.make(Kind::kFunction, {inside}, "abs");
}

// { x | x > 2 } and { x in R | x > 2 } are read as x > 2; { x in Z | x > 2 } keeps x in Z beside it.
Ref Parser::set_condition(Ref member) {
  Ref condition = list();
  const bool conditions =
      condition->kind == Kind::kList &&
      std::all_of(condition->kids.begin(), condition->kids.end(), [](Ref kid) { return kid->kind == Kind::kRelation; });
  if (conditions) condition = arena_.make(Kind::kIntersection, condition->kids);
  const bool name = member->kind == Kind::kSymbol || member->kind == Kind::kTuple;
  if (name) return condition;
  if (member->kind != Kind::kRelation) fail("a condition on something that is no name");
  const Ref domain = member->kids.back();
  if (domain->kind == Kind::kNamedSet && domain->text == "R") return condition;
  return arena_.make(Kind::kIntersection, {member, condition});
}

Ref Parser::bracket() { return bracket_elements(take().text); }

Ref Parser::bracket_elements(const std::string& open) {
  const DepthGuard guard(*this);
  const bool set = open == "\\{";
  if (set && accept("\\}")) return arena_.make(Kind::kSet);
  const int bars = std::exchange(bars_, set ? 1 : 0);  // the bar of { x | x > 2 } opens nothing
  const bool colon_ends = std::exchange(colon_ends_, set);
  const bool reversed = std::exchange(reversed_, open == "]");
  std::vector<Ref> elements{relation()};
  colon_ends_ = false;
  const bool spaced = peek(1).space_before;
  while (true) {
    std::string between = separator();
    if (between.empty()) break;
    for (std::string more = separator(); !more.empty(); more = separator()) {
    }
    elements.push_back(relation());
    if (elements.size() > kMaxListLength) throw OverBudget("the list is too long");
  }
  if (set && elements.size() == 1 && (accept("|") || accept(":"))) elements = {set_condition(elements[0])};
  bars_ = bars;
  colon_ends_ = colon_ends;
  reversed_ = reversed;
  const Token close = take();
  if (close.type != Type::kPunct) fail("a bracket that never closes");
  if (set) {
    if (close.text != "\\}") fail("a set that never closes");
    const Kind kind = elements[0]->kind;
    const bool condition =
        elements.size() == 1 && (kind == Kind::kRelation || kind == Kind::kUnion || kind == Kind::kIntersection);
    return condition ? elements[0] : arena_.make(Kind::kSet, std::move(elements));
  }
  const bool left_closed = open == "[";
  const bool right_closed = close.text == "]";
  const bool closes = close.text == ")" || close.text == "]" || (close.text == "[" && open != "(");
  if (!closes) fail("a bracket that never closes");
  const bool assignments =
      std::all_of(elements.begin(), elements.end(), [](Ref e) { return e->kind == Kind::kRelation; });
  if (elements.size() > 1 && assignments) return arena_.make(Kind::kList, std::move(elements), ",");  // [x = 3, y = 4]
  if (elements.size() > 1) {
    Node tuple;
    tuple.kind = Kind::kTuple;
    tuple.kids = std::move(elements);
    tuple.text = std::string(left_closed ? "[" : "(") + (right_closed ? "]" : ")");
    tuple.spaced = spaced;
    return arena_.keep(std::move(tuple));
  }
  if (left_closed != right_closed) fail("brackets that do not match");
  if (elements[0]->kind == Kind::kRelation) return elements[0];
  Node node = *elements[0];
  node.parenthesized = true;
  return arena_.keep(std::move(node));
}

}  // namespace grpo::verifier
