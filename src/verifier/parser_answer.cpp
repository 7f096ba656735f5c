#include <algorithm>
#include <array>
#include <utility>

#include "verifier/parser.h"
#include "verifier/phrases.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

bool is_inequality(Ref node) {
  if (node->kind == Kind::kUnion || node->kind == Kind::kIntersection) return true;
  if (node->kind != Kind::kRelation) return false;
  return std::any_of(node->relations.begin(), node->relations.end(), [](Relation r) {
    return r == Relation::kLess || r == Relation::kLessEqual || r == Relation::kGreater ||
           r == Relation::kGreaterEqual || r == Relation::kNotEqual;
  });
}

bool is_condition(Ref node) { return node->kind == Kind::kRelation || is_inequality(node); }

bool is_assignment(Ref node) {
  return node->kind == Kind::kRelation && node->relations.size() == 1 && node->relations[0] == Relation::kEqual &&
         (node->kids[0]->kind == Kind::kSymbol || node->kids[0]->kind == Kind::kApply);
}

bool all_of(const std::vector<Ref>& items, bool (*test)(Ref)) { return std::all_of(items.begin(), items.end(), test); }

struct Conjunction {
  std::string_view word;
  std::string_view meaning;
};
constexpr Conjunction kConjunctions[] = {
    {"and", "and"}, {"or", "or"},    {"et", "and"},    {"ou", "or"},  {"y", "and"},   {"o", "or"},
    {"und", "and"}, {"oder", "or"},  {"和", "and"},    {"或", "or"},  {"与", "and"},  {"及", "and"},
    {"或者", "or"}, {"以及", "and"}, {"且", "and"},    {"और", "and"}, {"तथा", "and"}, {"या", "or"},
    {"و", "and"},   {"أو", "or"},    {"and/or", "or"}, {"& ", "and"}, {"и", "and"},   {"или", "or"},
};

struct RelationName {
  std::string_view name;
  Relation relation;
};
constexpr RelationName kRelationCommands[] = {
    {"le", Relation::kLessEqual},
    {"leq", Relation::kLessEqual},
    {"leqslant", Relation::kLessEqual},
    {"leqq", Relation::kLessEqual},
    {"ge", Relation::kGreaterEqual},
    {"geq", Relation::kGreaterEqual},
    {"geqslant", Relation::kGreaterEqual},
    {"geqq", Relation::kGreaterEqual},
    {"lt", Relation::kLess},
    {"gt", Relation::kGreater},
    {"ne", Relation::kNotEqual},
    {"neq", Relation::kNotEqual},
    {"approx", Relation::kApprox},
    {"simeq", Relation::kApprox},
    {"in", Relation::kIn},
    {"equiv", Relation::kCongruent},
    {"cong", Relation::kCongruent},
    {"approxeq", Relation::kApprox},
};
constexpr RelationName kRelationPuncts[] = {
    {"=", Relation::kEqual},      {"<", Relation::kLess},          {">", Relation::kGreater},
    {"<=", Relation::kLessEqual}, {">=", Relation::kGreaterEqual}, {"!=", Relation::kNotEqual},
};

}  // namespace

std::string conjunction(std::string_view word) {
  std::string bare = lower(trim(word));
  while (!bare.empty() && (bare.front() == ',' || bare.front() == ';' || bare.front() == ' ')) bare.erase(0, 1);
  while (!bare.empty() && (bare.back() == ',' || bare.back() == ' ')) bare.pop_back();
  for (const auto& entry : kConjunctions) {
    if (bare == entry.word) return std::string(entry.meaning);
  }
  return "";
}

bool Parser::accept(std::string_view punct) {
  if (!at_punct(punct)) return false;
  ++at_;
  return true;
}

void Parser::expect(std::string_view punct) {
  if (!accept(punct)) fail("\"" + std::string(punct) + "\" is missing");
}

Ref Parser::answer() {
  while (accept("=") || accept(":") || accept(",")) {
  }
  if (at_command("approx") || at_command("therefore") || at_command("because")) ++at_;
  Ref result = list();
  if (at_command("over")) {
    ++at_;
    result = arena_.make(Kind::kDiv, {result, list()});
  }
  if (peek().type != Type::kEnd) fail("something unexpected stands behind the answer");
  return result;
}

std::string Parser::separator() {
  const Token& token = peek();
  std::string found;
  if (token.is_punct(",") || token.is_punct(";")) found = token.text;
  if (!in_matrix_ && token.is_punct("\\\\")) found = ",";
  if (!in_matrix_ && token.is_punct("&")) found = "and";
  if (token.type == Type::kCommand && (token.text == "vee" || token.text == "lor")) found = "or";
  if (token.type == Type::kCommand && (token.text == "wedge" || token.text == "land")) found = "and";
  if (!found.empty() && token.type == Type::kCommand) logical_ = true;
  if (token.type == Type::kWord || token.type == Type::kText) found = conjunction(token.text);
  if (!found.empty()) ++at_;
  return found;
}

Ref Parser::list() {
  const DepthGuard guard(*this);
  std::vector<Ref> items{relation()};
  std::vector<std::string> separators;
  while (true) {
    std::string between = separator();
    if (between.empty()) break;
    // ", and" is one separator, and a comma at the end separates nothing.
    for (std::string more = separator(); !more.empty(); more = separator()) between = more == "," ? between : more;
    if (peek().type == Type::kEnd || at_punct("}")) {
      if (between == "or") fail("an alternative that is not said");  // "7 or so"
      break;
    }
    items.push_back(relation());
    separators.push_back(between);
    if (items.size() > kMaxListLength) throw OverBudget("the list is too long");
  }
  return items.size() == 1 ? items[0] : join_items(std::move(items), separators);
}

Ref Parser::join_items(std::vector<Ref> items, const std::vector<std::string>& separators) {
  const auto has = [&](std::string_view s) {
    return std::find(separators.begin(), separators.end(), s) != separators.end();
  };
  if (has(";") && (has(",") || has("and"))) {
    // "p=5, q=2; p=7, q=2": groups of items.
    std::vector<Ref> groups;
    std::vector<Ref> group{items[0]};
    for (size_t i = 0; i <= separators.size(); ++i) {
      if (i < separators.size() && separators[i] != ";") {
        group.push_back(items[i + 1]);
        continue;
      }
      const bool tuple = group.size() > 1 && all_of(group, is_assignment);
      groups.push_back(group.size() == 1 ? group[0]
                                         : arena_.make(tuple ? Kind::kTuple : Kind::kList, group, tuple ? "()" : ","));
      if (i < separators.size()) group = {items[i + 1]};
    }
    return arena_.make(Kind::kList, std::move(groups), ";");
  }
  const bool propositions = logical_ && all_of(items, [](Ref item) { return item->kind == Kind::kSymbol; });
  if (propositions) return arena_.make(Kind::kApply, std::move(items), has("or") ? "lor" : "land");
  const bool inequalities = all_of(items, is_inequality);
  const bool conditions = all_of(items, is_condition) && std::any_of(items.begin(), items.end(), is_inequality);
  if (conditions && has("or")) return arena_.make(Kind::kUnion, std::move(items));
  if (inequalities && has("and")) return arena_.make(Kind::kIntersection, std::move(items));
  return arena_.make(Kind::kList, std::move(items), has("or") ? "or" : has("and") ? "and" : ",");
}

std::optional<Relation> Parser::relation_operator() {
  const Token& token = peek();
  if (token.type == Type::kPunct) {
    if (token.text == ":" && peek(1).is_punct("=")) ++at_;
    for (const auto& entry : kRelationPuncts) {
      if (peek().text == entry.name) return ++at_, entry.relation;
    }
  }
  if (token.is(Type::kWord, "in")) return ++at_, Relation::kIn;
  if (token.type != Type::kCommand) return std::nullopt;
  if (token.text == "not" && peek(1).is_punct("=")) return at_ += 2, Relation::kNotEqual;
  for (const auto& entry : kRelationCommands) {
    if (token.text == entry.name) return ++at_, entry.relation;
  }
  return std::nullopt;
}

// Reads the left side of an equation that is no expression of the grammar, as in \Pr[X>2] = 0.3: its tokens are a name.
// The equals sign has to stand outside of all brackets of that side.
Ref Parser::unread_name() {
  std::string name;
  int depth = 0;
  while (peek().type != Type::kEnd) {
    const Token& token = peek();
    if (token.type == Type::kPunct &&
        (token.text == "(" || token.text == "[" || token.text == "{" || token.text == "\\{"))
      ++depth;
    if (token.type == Type::kPunct &&
        (token.text == ")" || token.text == "]" || token.text == "}" || token.text == "\\}"))
      --depth;
    if (depth < 0 || (depth == 0 && (token.is_punct(",") || token.is_punct(";")))) break;
    if (depth == 0 && token.is_punct("=") && !name.empty()) return arena_.make(Kind::kOpaque, {}, name);
    if (depth == 0 && relation_ahead()) break;
    if (is_word(token) && !is_function_name(token.text) && !parse_unit(token.text)) break;  // "since 10/2 = 5"
    name += take().text + " ";
  }
  fail("an expression that is not understood");
}

bool Parser::relation_ahead() {
  const size_t start = at_;
  const bool out = relation_operator().has_value();
  at_ = start;
  return out;
}

Ref Parser::left_side() {
  const size_t start = at_;
  const bool top = depth_ == 1 && bars_ == 0 && !in_matrix_;
  try {
    const Ref left = set_expression();
    if (!top || peek().type == Type::kEnd || relation_ahead() || starts_separator()) return left;
  } catch (const ParseError&) {
    if (!top) throw;
  }
  const size_t stopped = std::exchange(at_, start);
  try {
    return unread_name();
  } catch (const ParseError&) {
    at_ = start;
    const Ref left = set_expression();  // throws again if this is what failed, so that its message is reported
    at_ = std::max(at_, stopped);
    return left;
  }
}

bool Parser::starts_separator() {
  const size_t start = at_;
  const bool out = !separator().empty();
  at_ = start;
  return out;
}

Ref Parser::relation() {
  Node chain;
  chain.kind = Kind::kRelation;
  // "> 12", "at least 12": a bound without a name.
  const bool unnamed = depth_ == 1 && relation_ahead() && !at_punct("=");
  chain.kids.push_back(unnamed ? arena_.make(Kind::kSymbol, {}, "") : left_side());
  while (const auto op = relation_operator()) {
    while (accept("=")) {
    }
    chain.relations.push_back(*op);
    chain.kids.push_back(set_expression());
  }
  if (unnamed && chain.relations.size() > 1) fail("a relation without its left side");
  return chain.relations.empty() ? chain.kids[0] : arena_.keep(std::move(chain));
}

Ref Parser::set_expression() {
  Ref left = ratio();
  while (true) {
    const Token& token = peek();
    if (token.is(Type::kCommand, "cup") || token.is(Type::kCommand, "bigcup") ||
        (token.type == Type::kWord && lower(token.text) == "union") || token.is(Type::kSymbol, "U")) {
      ++at_;
      left = arena_.make(Kind::kUnion, {left, ratio()});
    } else if (token.is(Type::kCommand, "cap") || token.is(Type::kCommand, "bigcap")) {
      ++at_;
      left = arena_.make(Kind::kIntersection, {left, ratio()});
    } else if (token.is(Type::kCommand, "setminus") || token.is(Type::kCommand, "backslash") ||
               token.is(Type::kCommand, "smallsetminus")) {
      ++at_;
      left = arena_.make(Kind::kDifference, {left, ratio()});
    } else {
      return left;
    }
  }
}

Ref Parser::ratio() {
  std::vector<Ref> parts{expression()};
  while (!colon_ends_ && at_punct(":") && !peek(1).is_punct("=")) {
    ++at_;
    parts.push_back(expression());
  }
  return parts.size() == 1 ? parts[0] : arena_.make(Kind::kRatio, std::move(parts));
}

Statement parse_statement(std::string_view text, Arena& arena, const LexOptions& options) {
  if (text.size() > kMaxAnswerBytes) throw OverBudget("the answer is too long");
  auto tokens = lex(text, options);
  const bool parts = read_phrases(tokens);
  Statement out;
  out.condition = take_condition(tokens);
  out.node = Parser(std::move(tokens), arena).answer();
  if (parts && out.node->kind == Kind::kList) out.node = arena.make(Kind::kList, out.node->kids, "parts");
  if (!out.condition.text.empty()) tie_condition(out.condition, out.node);
  return out;
}

Ref parse_answer(std::string_view text, Arena& arena, const LexOptions& options) {
  return parse_statement(text, arena, options).node;
}

}  // namespace grpo::verifier
