#include "reward/condition.h"

#include <algorithm>
#include <string_view>

#include "reward/phrases.h"

namespace grpo::reward {
namespace {

using Type = Token::Type;
using Tokens = std::vector<Token>;

constexpr std::string_view kOpeners[] = {"for",   "where",    "with", "when", "whenever", "if",  "provided",
                                         "given", "assuming", "such", "as",   "对于",     "其中"};

// A condition of these words says where variables live, and nothing else.
constexpr std::string_view kUniversal[] = {
    "for",      "where",    "with",     "all",         "every",        "any",       "each",     "some",    "is",
    "are",      "be",       "a",        "an",          "the",          "arbitrary", "real",     "complex", "rational",
    "integer",  "integers", "positive", "nonnegative", "non-negative", "nonzero",   "non-zero", "natural", "whole",
    "number",   "numbers",  "constant", "constants",   "value",        "values",    "of",       "and",     "reals",
    "integral", "can",      "may",      "any",         "variable",     "parameter", "such",     "that",    "denotes",
    "fixed",    "in",       "as",       "valid",       "其中",         "对于",      "为",       "整数"};
// Words that divide the values of a variable.
constexpr std::string_view kRestricting[] = {"if",   "when",  "whenever", "provided", "given", "assuming", "odd",
                                             "even", "prime", "negative", "unless",   "only",  "not",      "except"};

template <size_t N>
bool is_one_of(std::string_view word, const std::string_view (&words)[N]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

bool opens(const Token& token) {
  if (token.is(Type::kCommand, "forall")) return true;
  return is_word(token) && is_one_of(lower(token.text), kOpeners);
}

bool is_order(const Token& token) {
  if (token.type == Type::kPunct)
    return token.text == "<" || token.text == ">" || token.text == "<=" || token.text == ">=" || token.text == "!=" ||
           token.text == "=";
  static constexpr std::string_view kNames[] = {"le",       "leq", "leqslant", "ge", "geq",
                                                "geqslant", "lt",  "gt",       "ne", "neq"};
  return token.type == Type::kCommand && is_one_of(token.text, kNames);
}

bool is_in(const Token& token) { return token.is(Type::kCommand, "in") || token.is(Type::kWord, "in"); }

// "k \in \mathbb{Z}", "m, n \in \mathbb{N}" from `at` on; the index behind it, or 0.
size_t membership_end(const Tokens& tokens, size_t at) {
  size_t i = at;
  while (i < tokens.size() && (tokens[i].type == Type::kSymbol || tokens[i].is_punct(","))) ++i;
  if (i == at || i >= tokens.size() || !is_in(tokens[i])) return 0;
  ++i;
  if (i >= tokens.size() || !(tokens[i].is(Type::kCommand, "mathbb") || tokens[i].is(Type::kCommand, "Bbb"))) return 0;
  ++i;
  if (!tokens[i].is_punct("{")) return i + 1;
  while (i < tokens.size() && !tokens[i].is_punct("}")) ++i;
  if (i + 1 < tokens.size() && (tokens[i + 1].is_punct("^") || tokens[i + 1].is_punct("_"))) {
    ++i;
    while (i + 1 < tokens.size() && tokens[i + 1].type != Type::kEnd && !tokens[i + 1].is_punct(")")) ++i;
  }
  return i + 1;
}

bool ends(const Tokens& tokens, size_t at) { return at < tokens.size() && tokens[at].type == Type::kEnd; }

// Whether a condition begins at `at`: behind a comma, in brackets, or with one of its words.
bool begins_condition(const Tokens& tokens, size_t at) {
  if (opens(tokens[at])) return true;
  const bool comma = tokens[at].is_punct(",") || tokens[at].is_punct(";");
  if (comma && at + 1 < tokens.size()) return opens(tokens[at + 1]) || ends(tokens, membership_end(tokens, at + 1));
  if (!tokens[at].is_punct("(") || at + 1 >= tokens.size()) return false;
  const size_t inside = membership_end(tokens, at + 1);
  const bool member = inside > 0 && inside < tokens.size() && tokens[inside].is_punct(")") && ends(tokens, inside + 1);
  return member || (opens(tokens[at + 1]) && tokens[tokens.size() - 2].is_punct(")"));
}

int depth_change(const Token& token) {
  if (token.type == Type::kCommand)
    return token.text.starts_with("begin:") ? 1 : token.text.starts_with("end:") ? -1 : 0;
  if (token.type != Type::kPunct) return 0;
  if (token.text == "(" || token.text == "[" || token.text == "{" || token.text == "\\{") return 1;
  return token.text == ")" || token.text == "]" || token.text == "}" || token.text == "\\}" ? -1 : 0;
}

Condition describe(const Tokens& tokens, size_t begin) {
  Condition out;
  bool equation = false;
  for (size_t i = begin; i < tokens.size() && tokens[i].type != Type::kEnd; ++i) {
    const Token& token = tokens[i];
    if (token.is_punct(",") || token.is_punct("(") || token.is_punct(")")) continue;
    const bool word = token.type == Type::kText || token.type == Type::kWord;
    const std::string text = word ? lower(token.text) : token.text;
    out.text += text + " ";
    if (word && is_word(token) && (is_one_of(text, kRestricting) || !is_one_of(text, kUniversal))) out.restricts = true;
    out.bounds = out.bounds || is_order(token);
    equation = equation || token.is_punct("=");
  }
  out.restricts = out.restricts || equation;
  const size_t first = begin + (tokens[begin].type == Type::kSymbol ? 0 : 1);
  const bool membership = first + 1 < tokens.size() && tokens[first].type == Type::kSymbol && is_in(tokens[first + 1]);
  if (membership) out.parameter = tokens[first].text;
  return out;
}

}  // namespace

Condition take_condition(Tokens& tokens) {
  int depth = 0;
  for (size_t at = 1; at + 2 < tokens.size(); ++at) {
    depth += depth_change(tokens[at - 1]);
    const bool spaced = tokens[at].type == Type::kSymbol && tokens[at].space_before &&
                        ends(tokens, membership_end(tokens, at)) && tokens[at - 1].type == Type::kSymbol;
    if (depth != 0 || !(begins_condition(tokens, at) || spaced)) continue;
    Condition out = describe(tokens, at);
    const Token end = tokens.back();
    tokens.resize(at);
    while (tokens.size() > 1 && (tokens.back().is_punct(",") || tokens.back().is_punct(";"))) tokens.pop_back();
    tokens.push_back(end);
    return out;
  }
  return {};
}

bool agree(const Condition& a, const Condition& b) {
  if (a.text == b.text) return true;
  if (a.restricts || b.restricts) return false;
  return !(a.bounds && b.bounds);
}

namespace {

bool holds_symbol(Ref node, const std::string& name) {
  if (node->kind == Kind::kSymbol && node->text == name) return true;
  return std::any_of(node->kids.begin(), node->kids.end(), [&](Ref kid) { return holds_symbol(kid, name); });
}

Ref renamed(Ref node, const std::string& from, const std::string& to, Arena& arena) {
  if (node->kind == Kind::kSymbol) return node->text == from ? arena.make(Kind::kSymbol, {}, to) : node;
  if (node->kids.empty()) return node;
  Node copy = *node;
  for (Ref& kid : copy.kids) kid = renamed(kid, from, to, arena);
  return arena.keep(std::move(copy));
}

}  // namespace

Ref rename_parameter(Ref node, const Condition& from, const Condition& to, Arena& arena) {
  const bool differ = !from.parameter.empty() && !to.parameter.empty() && from.parameter != to.parameter;
  return differ && !holds_symbol(node, to.parameter) ? renamed(node, from.parameter, to.parameter, arena) : node;
}

}  // namespace grpo::reward
