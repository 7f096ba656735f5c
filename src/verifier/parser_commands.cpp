#include <algorithm>
#include <string_view>
#include <utility>

#include "verifier/char_class.h"
#include "verifier/number_words.h"
#include "verifier/parser.h"

namespace grpo::verifier {
namespace {

bool starts_with_d(Ref node) {
  const Ref first = node->kind == Kind::kMul ? node->kids[0] : node->kind == Kind::kPow ? node->kids[0] : node;
  return first->kind == Kind::kSymbol && (first->text == "d" || first->text == "partial");
}

// Whether a fraction is a derivative, dy/dx or d^2 y/dt^2, which is a name of its own and no quotient of products.
bool is_derivative(Ref top, Ref bottom) {
  const bool above = starts_with_d(top) || (top->kind == Kind::kMul && starts_with_d(top->kids[0]));
  return above && bottom->kind == Kind::kMul && starts_with_d(bottom);
}

}  // namespace

Ref Parser::command() {
  const Token token = take();
  const std::string& name = token.text;
  if (is_fraction_command(token)) return fraction();
  if (name == "sqrt") return root();
  if (name == "rootof" || name == "cuberootof" || name == "fourthrootof") {
    const int64_t index = name == "rootof" ? 2 : name == "cuberootof" ? 3 : 4;
    return arena_.make(Kind::kRoot, {primary(), arena_.number(Rational(index))});
  }
  if (name == "binom" || name == "tbinom" || name == "dbinom") return binomial();
  if (name == "pi" || name == "varpi") return arena_.make(Kind::kPi);
  if (name == "infty") return arena_.make(Kind::kInfinity);
  if (name == "imath") return arena_.make(Kind::kImaginary);
  if (name == "emptyset" || name == "varnothing") return arena_.make(Kind::kSet);
  if (name == "mathbb" || name == "Bbb") {
    const std::string set = group_text();
    const bool operation = (set == "E" || set == "P") && (at_punct("[") || at_punct("("));  // an expectation
    return operation ? arena_.make(Kind::kApply, {bracket()}, set) : named_set(set);
  }
  if (name == "sum") return big_operator(Kind::kSum);
  if (name == "prod") return big_operator(Kind::kProduct);
  if (name == "lfloor") return between("floor", Kind::kFunction, "rfloor");
  if (name == "lceil") return between("ceil", Kind::kFunction, "rceil");
  if (name == "langle") return between("()", Kind::kTuple, "rangle");
  if (name == "ldots" || name == "dots" || name == "cdots") return arena_.make(Kind::kSymbol, {}, "...");
  if (name.starts_with("begin:")) return environment(name.substr(6));
  if (name == "dollar" || name == "euro" || name == "pound" || name == "yen" || name == "rupee") return currency(name);
  if (name == "angle" || name == "triangle" || name == "measuredangle") {
    std::string text = name == "triangle" ? "triangle " : "angle ";
    while (peek().type == Type::kSymbol) {
      text += take().text;
      if (accept("_")) text += "_" + group_text();
    }
    return arena_.make(Kind::kSymbol, {}, text);
  }
  if (is_function_name(name)) return function(name);
  fail("\\" + name + " is not part of the grammar");
}

// \mathbb{R}, \mathbb{R}^+, \mathbb{R}_{\ge 0}, \mathbb{R}^*. For sets other than R, a mark becomes part of the name.
Ref Parser::named_set(const std::string& name) {
  const bool marked = at_punct("^") || at_punct("_");
  if (!marked) return arena_.make(Kind::kNamedSet, {}, name);
  const size_t start = at_++;
  const std::string mark = group_text();
  const bool digits =
      !mark.empty() && std::all_of(mark.begin(), mark.end(), [](char c) { return is_digit(c) || is_lower(c); });
  if (digits && mark != "ge0" && mark != "geq0") {  // R^2, R^n
    at_ = start;
    return arena_.make(Kind::kNamedSet, {}, name);
  }
  if (name != "R") return arena_.make(Kind::kNamedSet, {}, name + mark);
  const Ref zero = arena_.number(Rational(0));
  const Ref infinity = arena_.make(Kind::kInfinity);
  if (mark == "+" || mark == ">0") return arena_.make(Kind::kTuple, {zero, infinity}, "()");
  if (mark == "-" || mark == "<0") return arena_.make(Kind::kTuple, {arena_.make(Kind::kNeg, {infinity}), zero}, "()");
  if (mark == "ge0" || mark == "geq0" || mark == ">=0") return arena_.make(Kind::kTuple, {zero, infinity}, "[)");
  if (mark == "*")
    return arena_.make(Kind::kDifference, {arena_.make(Kind::kNamedSet, {}, name), arena_.make(Kind::kSet, {zero})});
  return arena_.make(Kind::kNamedSet, {}, name + mark);
}

Ref Parser::tex_argument() {
  if (at_punct("{") && peek(1).is_punct("}")) fail("an argument is empty");
  if (at_punct("{")) return group();
  if (accept("-")) return arena_.make(Kind::kNeg, {tex_argument()});
  if (at_punct("}")) fail("an argument is missing");
  if (peek().type == Type::kSymbol) {
    const std::string name = take().text;
    if (name == "i" && !sums_over_i_) return arena_.make(Kind::kImaginary);
    if (name == "e") return arena_.make(Kind::kEuler);
    return arena_.make(Kind::kSymbol, {}, name);
  }
  return primary();
}

// Reads the rest of dy/dx, of which `top` is what stands before the slash. Null when it is no derivative.
Ref Parser::typed_derivative(Ref top) {
  const bool above =
      top->kind == Kind::kMul && top->kids.size() == 2 && starts_with_d(top) && top->kids[1]->kind == Kind::kSymbol;
  const bool below = peek().type == Type::kSymbol && above && peek().text == top->kids[0]->text &&
                     peek(1).type == Type::kSymbol && !peek(2).is_punct("^");
  if (!below) return nullptr;
  const Ref d = arena_.make(Kind::kSymbol, {}, take().text);
  const Ref bottom = arena_.make(Kind::kMul, {d, arena_.make(Kind::kSymbol, {}, take().text)});
  return arena_.make(Kind::kOpaque, {}, "d(" + canonical_text(top) + ")/(" + canonical_text(bottom) + ")");
}

Ref Parser::fraction() {
  const DepthGuard guard(*this);
  const Ref top = tex_argument();
  const Ref bottom = tex_argument();
  if (is_derivative(top, bottom))
    return arena_.make(Kind::kOpaque, {}, "d(" + canonical_text(top) + ")/(" + canonical_text(bottom) + ")");
  return quotient(top, bottom, false);
}

Ref Parser::root() {
  const DepthGuard guard(*this);
  Ref index = nullptr;
  if (accept("[")) {
    index = expression();
    expect("]");
  }
  // A number is taken whole: nobody writes \sqrt12 for 2\sqrt1.
  const Ref radicand = at_punct("{") ? group() : primary();
  return arena_.make(Kind::kRoot, {radicand, index == nullptr ? arena_.number(Rational(2)) : index});
}

Ref Parser::binomial() {
  const Ref top = tex_argument();
  return arena_.make(Kind::kBinomial, {top, tex_argument()});
}

Ref Parser::big_operator(Kind kind) {
  const DepthGuard guard(*this);
  expect("_");
  expect("{");
  const Token index = take();
  if (index.type != Type::kSymbol) fail("a sum without an index");
  expect("=");
  const Ref from = expression();
  expect("}");
  expect("^");
  if (at_punct("{") && peek(1).is_punct("}")) fail("a sum without its last index");
  const Ref to = at_punct("{") ? group() : primary();
  const bool around = std::exchange(sums_over_i_, sums_over_i_ || index.text == "i");
  const Ref body = expression(kSumPower + 1);
  sums_over_i_ = around;
  return arena_.make(kind, {body, from, to}, index.text);
}

Ref Parser::between(const std::string& name, Kind kind, const std::string& close) {
  const DepthGuard guard(*this);
  const Ref inside = list();
  if (!at_command(close)) fail("\\" + close + " is missing");
  ++at_;
  if (kind == Kind::kTuple)
    return arena_.make(Kind::kTuple, inside->kind == Kind::kList ? inside->kids : std::vector<Ref>{inside}, name);
  return arena_.make(kind, {inside}, name);
}

Ref Parser::currency(const std::string& name) {
  if (at_punct("{") && peek(1).is_punct("}")) at_ += 2;
  Ref value = expression(kProductPower);
  while (peek().type == Type::kText || peek().type == Type::kWord) {  // \$5 million
    const auto scale = scale_word(peek().text);
    if (!scale) break;
    ++at_;
    value = arena_.make(Kind::kMul, {value, arena_.number(*scale)});
  }
  return arena_.make(Kind::kUnit, {value}, name == "pound" ? "GBP" : name);
}

Ref Parser::function(const std::string& name) {
  const DepthGuard guard(*this);
  if (name == "sqrt") return arena_.make(Kind::kRoot, {bracket_argument(), arena_.number(Rational(2))});
  if (name == "cbrt") return arena_.make(Kind::kRoot, {bracket_argument(), arena_.number(Rational(3))});
  if (name == "log" || name == "lg" || name == "ln") return logarithm(name);
  Ref power = nullptr;
  if (at_punct("^")) {
    ++at_;
    power = exponent();
  }
  Ref argument = function_argument();
  const bool inverse = power != nullptr && power->kind == Kind::kNeg && power->kids[0]->kind == Kind::kNumber &&
                       power->kids[0]->number == Rational(1);
  const bool collection = name == "max" || name == "min" || name == "gcd" || name == "lcm";  // \max\{a, b\}
  const bool several =
      argument->kind == Kind::kTuple || argument->kind == Kind::kList || (collection && argument->kind == Kind::kSet);
  const Ref call = arena_.make(Kind::kFunction, several ? argument->kids : std::vector<Ref>{argument},
                               inverse ? "arc" + name : name);
  return power == nullptr || inverse ? call : arena_.make(Kind::kPow, {call, power});
}

Ref Parser::logarithm(const std::string& name) {
  Ref base = nullptr;
  Ref power = nullptr;
  for (int i = 0; i < 2; ++i) {
    if (base == nullptr && accept("_")) {
      base = tex_argument();
    } else if (power == nullptr && accept("^")) {
      power = exponent();
    }
  }
  // \log without a base stays without one: the comparison tries e and 10.
  if (base == nullptr)
    base = name == "ln" ? arena_.make(Kind::kEuler) : name == "lg" ? arena_.number(Rational(10)) : nullptr;
  std::vector<Ref> kids{function_argument()};
  if (base != nullptr) kids.push_back(base);
  const Ref call = arena_.make(Kind::kLog, std::move(kids));
  return power == nullptr ? call : arena_.make(Kind::kPow, {call, power});
}

Ref Parser::bracket_argument() {
  if (at_punct("(")) return bracket();
  return at_punct("{") ? group() : primary();
}

// \sin(x) takes the bracket alone; \sin 2x and \cos\frac{\pi}{4}x take the product that follows, up to a sign, an
// explicit operator or the next function.
Ref Parser::function_argument() {
  if (at_punct("(") || at_punct("|")) return primary();
  if (at_punct("{")) {
    const bool bracketed = peek(1).is_punct("(");
    const Ref argument = group();
    // The power behind \ln{\left(x\right)}^2, as SymPy prints it, belongs to the function.
    return bracketed && argument->parenthesized ? argument : postfix(argument);
  }
  if (accept("-")) return arena_.make(Kind::kNeg, {function_argument()});
  std::vector<Ref> factors{postfix(primary())};
  const auto continues = [&] {
    const Token& token = peek();
    if (token.type == Type::kSymbol || token.type == Type::kNumber) return true;
    if (token.type == Type::kCommand)
      return token.text == "pi" || token.text == "frac" || token.text == "sqrt" || token.text == "tfrac" ||
             token.text == "dfrac";
    if (token.is_punct("(")) return factors.back()->kind == Kind::kNumber;
    return token.is(Type::kWord, "pi");
  };
  while (continues()) factors.push_back(postfix(primary()));
  return factors.size() == 1 ? factors[0] : arena_.make(Kind::kMul, std::move(factors));
}

}  // namespace grpo::verifier
