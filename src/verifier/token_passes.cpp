#include "verifier/token_passes.h"

#include <algorithm>
#include <string_view>

#include "verifier/budget.h"
#include "verifier/char_class.h"

namespace grpo::verifier {
namespace {

using Type = Token::Type;

bool is_log(const Token& token) {
  return (token.type == Type::kCommand || token.type == Type::kWord) && token.text == "log";
}

bool takes_two_arguments(const Token& token) {
  return token.type == Type::kCommand && (token.text.ends_with("frac") || token.text.ends_with("binom"));
}

// Appends the first `wanted` digits of a number as tokens of their own, then the rest of the number as one token.
void push_digits(Token token, int& wanted, std::vector<Token>& out) {
  while (wanted > 0 && !token.text.empty() && is_digit(token.text[0])) {
    Token digit;
    digit.type = Type::kNumber;
    digit.text = token.text.substr(0, 1);
    digit.number = Rational(token.text[0] - '0');
    digit.space_before = token.space_before;
    out.push_back(std::move(digit));
    token.text.erase(0, 1);
    token.space_before = false;
    --wanted;
  }
  if (token.text.empty()) return;
  if (token.text.find('(') != std::string::npos) throw ParseError("a repeating decimal without braces");
  token.number = Rational::from_decimal(token.text);
  out.push_back(std::move(token));
}

// The bracket that belongs to each bracket, or npos; empty when they do not match.
std::vector<size_t> matching_brackets(const std::vector<Token>& tokens) {
  std::vector<size_t> match(tokens.size(), std::string_view::npos);
  std::vector<size_t> open;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    if (token.is_punct("{") || token.is_punct("(")) open.push_back(i);
    if (!token.is_punct("}") && !token.is_punct(")")) continue;
    const std::string_view opener = token.text == "}" ? "{" : "(";
    if (open.empty() || tokens[open.back()].text != opener) return {};
    match[open.back()] = i;
    match[i] = open.back();
    open.pop_back();
  }
  return match;
}

// \log_28 is the logarithm of 8, while \log_10 5 has base 10: the base is one digit unless an argument follows.
void split_log_base(std::vector<Token>& tokens) {
  if (std::none_of(tokens.begin(), tokens.end(), is_log)) return;
  std::vector<Token> out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const bool base = i > 1 && i + 1 < tokens.size() && is_log(tokens[i - 2]) && tokens[i - 1].is_punct("_") &&
                      tokens[i].type == Type::kNumber && tokens[i].text.size() > 1;
    const auto argument = [](const Token& next) {
      return next.type != Type::kEnd && (next.type != Type::kPunct || next.text == "(" || next.text == "{");
    };
    int digits = base && !argument(tokens[i + 1]) ? 1 : 0;
    if (digits == 1) {
      push_digits(tokens[i], digits, out);
    } else {
      out.push_back(tokens[i]);
    }
  }
  tokens = std::move(out);
}

}  // namespace

void split_digit_arguments(std::vector<Token>& tokens) {
  split_log_base(tokens);
  if (std::none_of(tokens.begin(), tokens.end(), takes_two_arguments)) return;
  std::vector<Token> out;
  std::vector<int> wanted{0};  // for each open group, the arguments that its last command still takes
  for (Token& token : tokens) {
    int& here = wanted.back();
    if (takes_two_arguments(token)) {
      here = 2 + std::max(0, here - 1);
    } else if (token.is_punct("{")) {
      wanted.push_back(0);
    } else if (token.is_punct("}") && wanted.size() > 1) {
      wanted.pop_back();
      wanted.back() = std::max(0, wanted.back() - 1);
    } else if (here > 0 && token.type == Type::kNumber) {
      push_digits(std::move(token), here, out);
      continue;
    } else if (!token.is_punct("-")) {
      here = std::max(0, here - 1);
    }
    out.push_back(std::move(token));
  }
  tokens = std::move(out);
}

namespace {

bool is_capital(const Token& token) {
  return token.type == Type::kSymbol && token.text.size() == 1 && is_upper(token.text[0]);
}

// Whether two capitals at `at` are a pair: no third one stands beside them, and no subscript, prime or bracket behind
// them. Spaces mean nothing to TeX, but in a longer row of capitals they tell the pairs apart.
bool is_pair(const std::vector<Token>& tokens, size_t at) {
  if (at + 2 >= tokens.size() || !is_capital(tokens[at]) || !is_capital(tokens[at + 1])) return false;
  const Token& next = tokens[at + 2];
  const bool alone = (at == 0 || !is_capital(tokens[at - 1])) && !is_capital(next);
  const bool set_apart = !tokens[at + 1].space_before &&
                         (at == 0 || tokens[at].space_before || !is_capital(tokens[at - 1])) &&
                         (next.space_before || !is_capital(next));
  return (alone || set_apart) && !next.is_punct("_") && !next.is_punct("'") && !next.is_punct("(");
}

bool multiplies(const Token& token) {
  return token.is(Type::kCommand, "cdot") || token.is(Type::kCommand, "times") || token.is_punct("*");
}

}  // namespace

void join_segments(std::vector<Token>& tokens) {
  if (std::none_of(tokens.begin(), tokens.end(), multiplies)) return;
  std::vector<size_t> pairs;
  for (size_t i = 0; i + 2 < tokens.size(); ++i) {
    if (is_pair(tokens, i)) pairs.push_back(i);
  }
  const auto name = [&](size_t at) { return std::minmax(tokens[at].text, tokens[at + 1].text); };
  const bool differ = std::any_of(pairs.begin(), pairs.end(), [&](size_t at) { return name(at) != name(pairs[0]); });
  if (!differ) return;
  std::vector<Token> out;
  auto pair = pairs.begin();
  for (size_t i = 0; i < tokens.size(); ++i) {
    out.push_back(tokens[i]);
    if (pair == pairs.end() || *pair != i) continue;
    const auto [first, second] = name(i++);
    out.back().text = first + second;
    ++pair;
  }
  tokens = std::move(out);
}

namespace {

// Whether I is the imaginary unit, as SymPy prints it: in a sum or under exp() that holds nothing but numbers,
// operators typed as in Python and functions, such as "4/7 + 8*I", "1 - sqrt(3)*I", "exp(I*pi/3)". In 3*I it may be a
// name.
bool has_python_unit(const std::vector<Token>& tokens) {
  bool unit = false;
  bool sum = false;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    if (token.type == Type::kEnd) break;
    if (token.is(Type::kSymbol, "I")) {
      const bool times = i + 1 < tokens.size() && (tokens[i + 1].is_punct("*") || tokens[i + 1].is_punct("/"));
      const bool alone = i + 1 == tokens.size() || tokens[i + 1].type == Type::kEnd || tokens[i + 1].is_punct(")");
      const bool joined =
          i > 0 && (tokens[i - 1].is_punct("*") || tokens[i - 1].is_punct("+") || tokens[i - 1].is_punct("-"));
      if (!times && !(alone && joined)) return false;
      unit = true;
    } else if (token.is_punct("+") || token.is_punct("-")) {
      sum = sum || i > 0;
    } else if (token.type == Type::kWord) {
      if (!is_one_of(token.text, {"exp", "sqrt", "pi", "sin", "cos", "log"})) return false;
      sum = sum || token.text == "exp";
    } else if (token.type != Type::kNumber && !token.is_punct("*") && !token.is_punct("/") && !token.is_punct("(") &&
               !token.is_punct(")") && !token.is_punct("^") && !token.is(Type::kCommand, "pi")) {
      return false;
    }
  }
  return unit && sum;
}

}  // namespace

namespace {

Token punct(const char* text) {
  Token token;
  token.type = Type::kPunct;
  token.text = text;
  return token;
}

bool holds_anywhere(const std::vector<Token>& tokens, bool (*test)(const std::vector<Token>&, size_t)) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (test(tokens, i)) return true;
  }
  return false;
}

// log2( and log10(, without spaces.
bool has_typed_base(const std::vector<Token>& tokens, size_t at) {
  if (at + 2 >= tokens.size() || !tokens[at].is(Type::kWord, "log")) return false;
  const Token& base = tokens[at + 1];
  return base.type == Type::kNumber && (base.text == "2" || base.text == "10") && !base.space_before &&
         tokens[at + 2].is_punct("(") && !tokens[at + 2].space_before;
}

// Whether the slash of AB/CD stands at `at`.
bool divides_pairs(const std::vector<Token>& tokens, size_t at) {
  if (at < 2 || at + 3 >= tokens.size() || !tokens[at].is_punct("/")) return false;
  return is_pair(tokens, at - 2) && is_pair(tokens, at + 1) && !tokens[at - 1].space_before &&
         !tokens[at + 2].space_before && !tokens[at + 3].is_punct("^") && !tokens[at + 3].is_punct("!");
}

}  // namespace

void read_python_names(std::vector<Token>& tokens) {
  if (has_python_unit(tokens)) {
    for (Token& token : tokens) {
      if (token.is(Type::kSymbol, "I")) token.text = "i";
    }
  }
  if (!holds_anywhere(tokens, has_typed_base)) return;
  std::vector<Token> out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    out.push_back(tokens[i]);
    if (has_typed_base(tokens, i)) out.push_back(punct("_"));
  }
  tokens = std::move(out);
}

void group_divisors(std::vector<Token>& tokens) {
  if (!holds_anywhere(tokens, divides_pairs)) return;
  std::vector<Token> out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    out.push_back(tokens[i]);
    if (!divides_pairs(tokens, i)) continue;
    out.push_back(punct("{"));
    out.push_back(tokens[i + 1]);
    out.push_back(tokens[i + 2]);
    out.push_back(punct("}"));
    i += 2;
  }
  tokens = std::move(out);
}

void drop_double_brackets(std::vector<Token>& tokens) {
  const auto match = matching_brackets(tokens);
  if (match.empty()) return;  // unbalanced: the parser will say so
  const auto doubled = [&](size_t i) {
    if (match[i] == std::string_view::npos) return false;
    const size_t first = std::min(i, match[i]);
    const size_t last = std::max(i, match[i]);
    return first + 1 < last && match[first + 1] == last - 1 && tokens[first].text == tokens[first + 1].text;
  };
  std::vector<char> drop(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) drop[i] = doubled(i) ? 1 : 0;
  std::vector<Token> kept;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (drop[i] == 0) kept.push_back(std::move(tokens[i]));
  }
  tokens = std::move(kept);
}

}  // namespace grpo::verifier
