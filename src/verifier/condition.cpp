#include "verifier/condition.h"

#include <algorithm>
#include <string_view>

#include "verifier/char_class.h"
#include "verifier/phrases.h"

namespace grpo::verifier {
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
// Words that restrict an answer to some values of a variable.
constexpr std::string_view kRestricting[] = {"if",   "when",  "whenever", "provided", "given", "assuming", "odd",
                                             "even", "prime", "negative", "unless",   "only",  "not",      "except"};

bool opens(const Token& token) {
  if (token.is(Type::kCommand, "forall")) return true;
  return is_word(token) && is_one_of(lower(token.text), kOpeners);
}

// The same in its sentence: "as anyone can see" says nothing of a variable.
bool opens(const Tokens& tokens, size_t at) {
  if (!opens(tokens[at])) return false;
  const bool as = is_word(tokens[at]) && lower(tokens[at].text) == "as";
  return !as || std::any_of(tokens.begin() + static_cast<std::ptrdiff_t>(at) + 1, tokens.end(),
                            [](const Token& token) { return token.type == Type::kSymbol; });
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

// The index behind "k \in \mathbb{Z}" or "m, n \in \mathbb{N}" at `at`, or 0 when no such membership begins there.
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

// Whether the rest of the answer (or of its last bracket) is an inequality such as "x > 0" on a symbol of the formula
// before it: 2x (x \ne 0). The formula must be no relation itself, except f(x) = ...
bool bounds_symbol(const Tokens& tokens, size_t at, bool in_brackets) {
  const bool order = at + 2 < tokens.size() && tokens[at].type == Type::kSymbol && is_order(tokens[at + 1]) &&
                     !tokens[at + 1].is_punct("=");
  if (!order) return false;
  const size_t last = tokens.size() - (in_brackets ? 2 : 1);
  if (in_brackets && !tokens[last].is_punct(")")) return false;
  for (size_t i = at + 2; i < last; ++i) {
    if (tokens[i].is_punct(",") || tokens[i].is_punct(")") || tokens[i].is_punct(";") ||
        tokens[i].type == Type::kText || tokens[i].type == Type::kWord)
      return false;
  }
  const bool function = tokens[0].type == Type::kSymbol && tokens[1].is_punct("(");
  bool holds = false;
  for (size_t i = 0; i + 1 < at; ++i) {
    const bool equals = tokens[i].is_punct("=") && function;
    if ((is_order(tokens[i]) && !equals) || is_in(tokens[i]) || tokens[i].is_punct(",") || tokens[i].is_punct(";"))
      return false;
    holds = holds || tokens[i].is(Type::kSymbol, tokens[at].text);
  }
  return holds;
}

// Whether a condition begins at `at`: behind a comma, in brackets, or with one of its words.
bool begins_condition(const Tokens& tokens, size_t at) {
  if (opens(tokens, at)) return true;
  const bool comma = tokens[at].is_punct(",") || tokens[at].is_punct(";");
  if (comma && at + 1 < tokens.size())
    return opens(tokens, at + 1) || ends(tokens, membership_end(tokens, at + 1)) ||
           bounds_symbol(tokens, at + 1, false);
  if (!tokens[at].is_punct("(") || at + 1 >= tokens.size()) return false;
  const size_t inside = membership_end(tokens, at + 1);
  const bool member = inside > 0 && inside < tokens.size() && tokens[inside].is_punct(")") && ends(tokens, inside + 1);
  return member || bounds_symbol(tokens, at + 1, true) ||
         (opens(tokens, at + 1) && tokens[tokens.size() - 2].is_punct(")"));
}

int depth_change(const Token& token) {
  if (token.type == Type::kCommand)
    return token.text.starts_with("begin:") ? 1 : token.text.starts_with("end:") ? -1 : 0;
  if (token.type != Type::kPunct) return 0;
  if (token.text == "(" || token.text == "[" || token.text == "{" || token.text == "\\{") return 1;
  return token.text == ")" || token.text == "]" || token.text == "}" || token.text == "\\}" ? -1 : 0;
}

// The index behind the set at `at`, such as \mathbb{Z}, \mathbb{R}^+ or \mathbb{R}_{\ge 0}. Appends its letter and
// marks to `name`.
size_t set_name_end(const Tokens& tokens, size_t at, std::string& name) {
  const auto take_group = [&](size_t i) {
    const bool group = i < tokens.size() && tokens[i].is_punct("{");
    for (i += group ? 1 : 0; i < tokens.size() && tokens[i].type != Type::kEnd && !tokens[i].is_punct("}"); ++i) {
      name += tokens[i].text;
      if (!group) return i + 1;
    }
    return i + (group && i < tokens.size() ? 1 : 0);
  };
  at = take_group(at + 1);
  while (at < tokens.size() && (tokens[at].is_punct("^") || tokens[at].is_punct("_"))) at = take_group(at + 1);
  return at;
}

// The letter of the set that a word names ("Z" for "integers") or the mark of its sign ("+" for "positive"); else "".
std::string domain_of_word(std::string_view word) {
  if (word.starts_with("integ") || word == "整数") return "Z";
  if (word.starts_with("real")) return "R";
  if (word == "rational") return "Q";
  if (word == "complex") return "C";
  if (word == "natural") return "N";
  if (word == "positive") return "+";
  if (word.starts_with("nonneg") || word.starts_with("non-neg")) return ">=0";
  return word.starts_with("nonzero") || word.starts_with("non-zero") ? "*" : "";
}

// Puts the mark of a sign behind the letter of the set, "+R" -> "R+", and calls the positive integers "N".
std::string tidied_domain(std::string domain) {
  const size_t letter = domain.find_first_of("ZRQCN");
  if (letter != std::string::npos && letter > 0)
    domain = domain[letter] + domain.substr(0, letter) + domain.substr(letter + 1);
  return domain == "Z+" || domain == "N+" || domain == "N*" ? "N" : domain;
}

void describe_word(const std::string& text, Condition& out) {
  out.restricts = out.restricts || is_one_of(text, kRestricting) || !is_one_of(text, kUniversal);
  out.every = out.every || text == "all" || text == "every" || text == "any" || text == "each";
  out.some = out.some || text == "some";
  out.domain += domain_of_word(text);
}

Condition describe(const Tokens& tokens, size_t begin) {
  Condition out;
  bool equation = false;
  bool unread = false;  // holds signs that say nothing of a variable: "for all m + 1"
  for (size_t i = begin; i < tokens.size() && tokens[i].type != Type::kEnd;) {
    const Token& token = tokens[i++];
    if (token.is_punct(",") || token.is_punct("(") || token.is_punct(")")) continue;
    const bool word = token.type == Type::kText || token.type == Type::kWord;
    std::string text = word ? lower(token.text) : token.text;
    if (text == "neq" || text == "!=") text = "ne";
    if (text == "leq" || text == "<=" || text == "leqslant") text = "le";
    if (text == "geq" || text == ">=" || text == "geqslant") text = "ge";
    const bool set = token.is(Type::kCommand, "mathbb") || token.is(Type::kCommand, "Bbb");
    if (set) {
      text.clear();
      i = set_name_end(tokens, i - 1, text);
      out.domain += text;
    }
    const bool name = token.type == Type::kSymbol || (word && token.text.size() == 1 && text != "a");
    out.text += text + " ";
    out.form += name ? "# " : text + " ";
    if (name) out.names.insert(token.text);
    if (word && is_word(token)) describe_word(text, out);
    out.bounds = out.bounds || is_order(token);
    out.every = out.every || token.is(Type::kCommand, "forall");
    equation = equation || token.is_punct("=");
    unread = unread || !(word || name || set || is_in(token) || token.is(Type::kCommand, "forall"));
  }
  out.domain = tidied_domain(out.domain);
  out.restricts = out.restricts || equation || (unread && !out.bounds);
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

namespace {

bool has_names(Ref node) {
  const bool name = node->kind == Kind::kSymbol || node->kind == Kind::kOpaque || node->kind == Kind::kApply;
  return name || std::any_of(node->kids.begin(), node->kids.end(), has_names);
}

// Whether `name` stands in `text` with no letter beside it: n in x_n, x in "\int f(x) dx".
bool spells(std::string_view text, std::string_view name) {
  const auto letter = [&](size_t i) { return i < text.size() && is_letter(text[i]); };
  for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    if (!(at > 0 && letter(at - 1)) && !letter(at + name.size())) return true;
  }
  return false;
}

bool mentions(Ref node, const std::string& name) {
  if (!node->text.empty() && node->kind != Kind::kNumber && spells(node->text, name)) return true;
  if (node->kind == Kind::kImaginary || node->kind == Kind::kEuler)
    return name == (node->kind == Kind::kEuler ? "e" : "i");
  return std::any_of(node->kids.begin(), node->kids.end(), [&](Ref kid) { return mentions(kid, name); });
}

bool mentions_all(Ref node, const std::set<std::string>& names) {
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) { return mentions(node, name); });
}

}  // namespace

void tie_condition(Condition& condition, Ref statement) {
  const bool foreign = has_names(statement) && !mentions_all(statement, condition.names);
  condition.restricts = condition.restricts || foreign;
}

namespace {

bool is_order_on(Ref statement, const std::set<std::string>& names) {
  const auto is_order = [](Relation r) {
    return r != Relation::kEqual && r != Relation::kIn && r != Relation::kApprox;
  };
  return statement->kind == Kind::kRelation &&
         std::any_of(statement->relations.begin(), statement->relations.end(), is_order) &&
         mentions_all(statement, names);
}

// Whether all names are letters that stand for integers by custom.
bool count_things(const std::set<std::string>& names) {
  return std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return name.size() == 1 && std::string_view("ijklmnpqrN").find(name[0]) != std::string_view::npos;
  });
}

// Whether one side is an inequality for integers or fractions and the other one for reals, or a set of reals: "x > 3
// for integer x" is neither x > 3 nor (3, \infty).
bool part_for_all_reals(const Condition& condition, Ref statement, const Condition& others, Ref other) {
  const char set_name = condition.domain.empty() ? ' ' : condition.domain[0];
  if ((set_name != 'Z' && set_name != 'N' && set_name != 'Q') || others.domain == condition.domain) return false;
  const bool set = (other->kind == Kind::kTuple && other->kids.size() == 2) || other->kind == Kind::kUnion;
  return (is_order_on(statement, condition.names) && !count_things(condition.names)) ||
         (set && statement->kind == Kind::kRelation);
}

// k of "k\pi for real k", where the other side says nothing of k and so counts with it.
bool is_real_counter(const Condition& condition, Ref statement, const Condition& other) {
  return contains(statement, Kind::kPi) && other.text.empty() && condition.domain == "R" &&
         condition.names.size() == 1 && *condition.names.begin() == "k";
}

}  // namespace

bool agree(const Condition& a, Ref a_statement, const Condition& b, Ref b_statement) {
  if (a.text == b.text) return true;
  if (a.restricts || b.restricts) return false;
  if (part_for_all_reals(a, a_statement, b, b_statement) || part_for_all_reals(b, b_statement, a, a_statement))
    return false;
  if (is_real_counter(a, a_statement, b) || is_real_counter(b, b_statement, a)) return false;
  if (a.text.empty() || b.text.empty()) return true;
  if ((a.every && b.some) || (a.some && b.every)) return false;
  if (!a.domain.empty() && !b.domain.empty() && a.domain != b.domain) return false;
  const bool other_names = a.form == b.form && a.names != b.names && mentions_all(a_statement, b.names) &&
                           mentions_all(b_statement, a.names);
  return !other_names && a.bounds == b.bounds && !a.bounds;
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

}  // namespace grpo::verifier
