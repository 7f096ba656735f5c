#include <algorithm>
#include <string>

#include "verifier/exact.h"
#include "verifier/number_words.h"
#include "verifier/parser.h"
#include "verifier/units.h"

// Quantities: what stands behind a value and is its unit.
namespace grpo::verifier {
namespace {

bool is_value(Ref node) { return node->kind <= Kind::kUnit; }

// Whether two names are one unit: "dollar" and "USD".
bool is_same_unit(std::string_view name, const Unit& unit) {
  const auto other = parse_unit(name);
  return other && !unit.dimensions.empty() && other->dimensions == unit.dimensions && other->factor == unit.factor &&
         other->pi_power == unit.pi_power;
}

bool is_constant_value(Ref node) { return is_value(node) && is_constant(node); }

}  // namespace

bool is_times(const Token& token) {
  return token.is_punct("*") ||
         (token.type == Token::Type::kCommand &&
          (token.text == "cdot" || token.text == "times" || token.text == "ast" || token.text == "bullet"));
}

bool is_divide(const Token& token) {
  return token.is_punct("/") || (token.type == Token::Type::kCommand && (token.text == "div" || token.text == "slash"));
}

// 5 ft 6 in is a sum: what follows a quantity without a sign has to be a quantity, too.
Ref Parser::joined_quantity(Ref left) {
  Ref right = expression(kSumPower + 1);
  if (starts_unit(right)) right = unit_of(right);
  if (right->kind != Kind::kUnit) fail("a number follows a unit");
  return arena_.make(Kind::kAdd, {left, right});
}

// Whether the name of a function is a unit here, since no argument follows it: "5 min", "30 sec".
bool Parser::at_time_word() const {
  const Token& next = peek(1);
  const bool ends =
      next.type == Type::kEnd || next.type == Type::kText || next.type == Type::kWord ||
      (next.type == Type::kPunct && std::string_view(",;.)}]=<>/").find(next.text) != std::string_view::npos);
  return ends && find_unit(peek().text).has_value();
}

// Whether a word stands here that may be a unit, or a symbol that is one behind a number: \Omega, L_\odot, \mu\text{m}.
bool Parser::at_unit_word() const {
  const Token& token = peek();
  if (token.type == Type::kText) return conjunction(token.text).empty();
  if (token.type == Type::kWord && is_function_name(token.text)) return at_time_word();
  if (token.type == Type::kWord) return conjunction(token.text).empty() && token.text != "pi";
  if (token.type != Type::kSymbol) return false;
  const bool micro = token.text == "mu" && peek(1).type == Type::kText;
  const bool solar = peek(1).is_punct("_") && (peek(2).is(Type::kSymbol, "odot") ||
                                               (peek(2).is_punct("{") && peek(3).is(Type::kSymbol, "odot")));
  return token.text == "Omega" || micro || solar;
}

std::string Parser::take_unit_word() {
  const Token token = take();
  if (at_punct("_") &&
      (peek(1).is(Type::kSymbol, "odot") || (peek(1).is_punct("{") && peek(2).is(Type::kSymbol, "odot")))) {
    ++at_;
    group_text();
    if (token.text != "M" && token.text != "L" && token.text != "R") fail("an unknown unit of the sun");
    return token.text == "M" ? "solar-mass" : token.text == "L" ? "solar-luminosity" : "solar-radius";
  }
  if (token.is(Type::kSymbol, "Omega")) return "Ω";
  if (token.is(Type::kSymbol, "mu")) return "u" + take().text;
  const bool kilo = token.text.size() == 1 && peek().is(Type::kSymbol, "Omega");
  if (!kilo) return token.text;
  ++at_;
  return token.text + "Ω";
}

// Whether letters touch the last number of a sum of bare numbers: 5+2km is no 7 km.
bool Parser::is_glued_to_last_term(Ref sum) const {
  const bool glued = at_ > 0 && tokens_[at_ - 1].type == Type::kNumber && !peek().space_before;
  return glued && sum->kind == Kind::kAdd && !contains(sum, Kind::kUnit);
}

bool Parser::starts_unit(Ref left) const {
  if (!is_value(left)) return false;
  const Token& token = peek();
  if (is_fraction_command(token))
    return peek(1).is_punct("{") && peek(2).type == Type::kText && find_unit(peek(2).text);
  if (token.type == Type::kCommand) {
    return token.text == "dollar" || token.text == "euro" || token.text == "pound" || token.text == "yen" ||
           token.text == "rupee";
  }
  if (!at_unit_word()) return false;
  if (token.type == Type::kWord && is_glued_to_last_term(left)) return false;
  if (token.type == Type::kSymbol) return left->kind == Kind::kNumber;
  if (token.type == Type::kText) return true;
  if (is_function_name(token.text)) return is_constant_value(left);
  if (peek(1).is_punct("(")) return false;
  return find_unit(token.text).has_value() || scale_word(token.text).has_value() || is_constant_value(left);
}

// Takes the "a" of "18 dollars a week", and says whether there was one.
bool Parser::takes_article() {
  const bool an = peek().is(Type::kSymbol, "a") && peek(1).is(Type::kSymbol, "n");
  const bool a = an || peek().is(Type::kSymbol, "a") || peek().is(Type::kText, "a") || peek().is(Type::kText, "an");
  const Token& noun = peek(an ? 2 : 1);
  if (!a || !(noun.type == Type::kWord || noun.type == Type::kText) || !find_unit(noun.text)) return false;
  at_ += an ? 2 : 1;
  return true;
}

// Whether "and girls" ends the answer: what is counted has two names.
bool Parser::second_noun() const {
  const bool conjoined =
      (peek().type == Type::kWord || peek().type == Type::kText) && conjunction(peek().text) == "and";
  const Token& noun = peek(1);
  const bool word = (noun.type == Type::kWord || noun.type == Type::kText) && noun.text.size() > 2;
  return conjoined && word && conjunction(noun.text).empty() && !find_unit(noun.text) && parse_unit(noun.text) &&
         peek(2).type == Type::kEnd;
}

std::string Parser::take_unit_phrase() {
  std::string phrase;
  bool group = false;  // inside the brackets of J/(mol K)
  while (true) {
    phrase += (phrase.empty() ? "" : " ") + take_unit_word();
    if (at_punct("^")) {
      ++at_;
      phrase += "^" + group_text();
    }
    if (group && accept(")")) {
      group = false;
      phrase += " )";
    }
    const auto word_follows = [this](size_t ahead) {
      return peek(ahead).type == Type::kText || peek(ahead).type == Type::kWord;
    };
    const bool joins =
        (is_divide(peek()) || is_times(peek())) && (word_follows(1) || peek(1).is(Type::kSymbol, "Omega"));
    const bool opens = is_divide(peek()) && peek(1).is_punct("(") && word_follows(2);
    if (joins || opens) phrase += is_divide(take()) ? " / " : " * ";
    if (opens) {
      ++at_;
      group = true;
      phrase += "(";
    }
    if (joins || opens || at_unit_word()) continue;
    if (!group && takes_article()) {  // dollars a week
      phrase += " per";
      continue;
    }
    if (!group && second_noun()) {  // boys and girls
      ++at_;
      continue;
    }
    if (group) fail("a bracket of a unit never closes");
    return phrase;
  }
}

// One side of \frac{\text{kg}\cdot\text{m}}{\text{s}^2}.
std::string Parser::take_unit_group() {
  expect("{");
  std::string phrase;
  while (!at_punct("}")) {
    if (is_divide(peek()) || is_times(peek())) {
      phrase += is_divide(take()) ? " / " : " * ";
    } else if (accept("^")) {
      phrase += "^" + group_text();
    } else if (peek().type == Type::kText || at_unit_word() ||
               (peek().type == Type::kSymbol && find_unit(peek().text))) {
      phrase += " " + take_unit_word();
    } else {
      fail("a unit that is not understood");
    }
  }
  ++at_;
  return phrase;
}

// \frac{\text{miles}}{\text{hour}}
std::string Parser::take_unit_fraction() {
  ++at_;
  const std::string top = take_unit_group();
  return top + " / (" + take_unit_group() + " )";
}

// Takes the words that scale a number off the beginning of `phrase` and multiplies `value` by them: 5 million dollars,
// 7 tenths.
Ref Parser::scaled(Ref value, std::string& phrase) {
  while (true) {
    const size_t end = std::min(phrase.find(' '), phrase.size());
    const std::string_view word = std::string_view(phrase).substr(0, end);
    const auto scale = scale_word(word);
    if (!scale) return value;
    const auto count = exact_value(value, arena_.budget());
    if (count && may_be_ordinal(*count, word)) fail("an ordinal, or a number of parts");
    value = arena_.make(Kind::kMul, {value, arena_.number(*scale)});
    phrase = trim(std::string_view(phrase).substr(end));
    if (phrase.starts_with("of "))
      phrase = trim(std::string_view(phrase).substr(3));
    else if (phrase == "of")
      phrase.clear();
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
  const auto wrap = [&](Ref v) {
    if (v->kind == Kind::kUnit && is_same_unit(v->text, *unit)) return v;  // \$15\text{ dollars}
    if (v->kind == Kind::kUnit && phrase.starts_with("per "))              // \$5\text{ per hour}
      return arena_.make(Kind::kUnit, {v->kids[0]}, v->text + " " + phrase);
    return percent ? arena_.make(Kind::kPercent, {v}) : arena_.make(Kind::kUnit, {v}, phrase);
  };
  if (value->kind == Kind::kAdd && contains(value->kids[0], Kind::kUnit)) {  // 5 ft + 6 in
    std::vector<Ref> kids = value->kids;
    kids.back() = wrap(kids.back());
    return arena_.make(Kind::kAdd, std::move(kids));
  }
  return unit->says_nothing() ? value : wrap(value);
}

// 25^\circ C, 25^\circ\text{ Fahrenheit}
Ref Parser::degree_scale(Ref degrees) {
  const bool braces = at_punct("{") && peek(2).is_punct("}");  // ^\circ\mathrm{C}
  const Token& token = peek(braces ? 1 : 0);
  if (token.type != Type::kSymbol && token.type != Type::kText && token.type != Type::kWord) return degrees;
  const std::string low = lower(token.text);
  const bool celsius = token.text == "C" || low == "celsius";
  const bool fahrenheit = token.text == "F" || low == "fahrenheit";
  if (!celsius && !fahrenheit) return degrees;
  at_ += braces ? 3 : 1;
  return arena_.make(Kind::kUnit, {degrees->kids[0]}, celsius ? "celsius" : "fahrenheit");
}

}  // namespace grpo::verifier
