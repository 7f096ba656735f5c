#include <string_view>
#include <utility>

#include "verifier/parser.h"
#include "verifier/phrases.h"

// \begin{...}: matrices, systems of equations, aligned steps and functions given piece by piece.
namespace grpo::verifier {
namespace {

constexpr std::string_view kMatrices[] = {"pmatrix", "bmatrix", "matrix", "Bmatrix", "smallmatrix", "array", "vmatrix"};
constexpr std::string_view kRows[] = {"aligned", "align",     "align*",   "gathered", "gather",   "gather*",
                                      "split",   "alignedat", "eqnarray", "equation", "equation*"};
constexpr std::string_view kCases[] = {"cases", "dcases", "rcases", "cases*"};

bool is_fallback_word(const Token& token) {
  return is_word(token) && (lower(token.text) == "otherwise" || lower(token.text) == "else");
}
bool is_if(const Token& token) {
  return is_word(token) && (lower(token.text) == "if" || lower(token.text) == "for" || lower(token.text) == "when");
}

}  // namespace

Ref Parser::environment(const std::string& name) {
  if (is_one_of(name, kMatrices)) return matrix(name);
  if (is_one_of(name, kRows)) return rows(name);
  if (is_one_of(name, kCases)) return cases(name);
  fail("\\begin{" + name + "} is not part of the grammar");
}

Ref Parser::matrix(const std::string& environment) {
  const DepthGuard guard(*this);
  if (environment == "array" && at_punct("{")) group_text();
  const bool outer = std::exchange(in_matrix_, true);
  Node node;
  node.kind = Kind::kMatrix;
  int column = 0;
  while (!at_command("end:" + environment)) {
    node.kids.push_back(relation());
    ++column;
    if (node.kids.size() > kMaxListLength) throw OverBudget("the matrix is too large");
    if (accept("&")) continue;
    if (node.columns == 0) node.columns = column;
    if (column != node.columns) fail("the rows of a matrix differ in length");
    column = 0;
    while (accept("\\\\")) {
    }
    if (peek().type == Type::kEnd) fail("a matrix that never ends");
  }
  in_matrix_ = outer;
  ++at_;
  if (node.kids.empty()) fail("an empty matrix");
  const bool bare = environment == "array" || environment == "matrix";
  if (bare && node.kids.size() == 1) return node.kids[0];  // an array of one line only sets its value
  const bool equations =
      std::all_of(node.kids.begin(), node.kids.end(), [](Ref kid) { return kid->kind == Kind::kRelation; });
  if (bare && equations && node.columns == 1) return arena_.make(Kind::kList, std::move(node.kids), ",");
  Ref result = arena_.keep(std::move(node));
  return environment == "vmatrix" ? arena_.make(Kind::kFunction, {result}, "det") : result;
}

// A row that begins with a relation goes on with the row before, x&=3+4\\&=7; else the rows are a list, x&=3\\y&=4.
Ref Parser::rows(const std::string& environment) {
  const DepthGuard guard(*this);
  const bool outer = std::exchange(in_matrix_, true);
  std::vector<Ref> items;
  std::vector<std::string> separators;
  while (!at_command("end:" + environment)) {
    Node chain;
    chain.kind = Kind::kRelation;
    accept("&");
    chain.kids.push_back(set_expression());
    while (true) {
      const size_t start = at_;
      while (accept("&") || accept("\\\\")) {
      }
      const auto op = relation_operator();
      if (!op) {
        at_ = start;
        break;
      }
      accept("&");
      chain.relations.push_back(*op);
      chain.kids.push_back(set_expression());
    }
    items.push_back(chain.relations.empty() ? chain.kids[0] : arena_.keep(std::move(chain)));
    if (items.size() > kMaxListLength) throw OverBudget("the list is too long");
    while (accept("&") || accept(",") || accept("\\\\")) {
    }
    if (peek().type == Type::kEnd) fail("an environment that never ends");
    separators.push_back(",");
  }
  in_matrix_ = outer;
  ++at_;
  if (items.empty()) fail("an empty environment");
  separators.pop_back();
  return items.size() == 1 ? items[0] : join_items(std::move(items), separators);
}

// Rows "value & condition" are a function given piece by piece. Rows without "&", or with a relation behind it as in
// x&=3, are a system of equations.
Ref Parser::cases(const std::string& environment) {
  size_t ahead = 0;
  while (peek(ahead).type != Type::kEnd && !peek(ahead).is(Type::kCommand, "end:" + environment) &&
         !peek(ahead).is_punct("&"))
    ++ahead;
  if (!peek(ahead).is_punct("&") || is_relation_ahead(ahead + 1)) return rows(environment);
  const DepthGuard guard(*this);
  const bool outer = std::exchange(in_matrix_, true);
  std::vector<Ref> pieces;
  while (!at_command("end:" + environment)) {
    pieces.push_back(relation());
    accept(",");
    expect("&");
    if (is_if(peek())) ++at_;
    if (is_fallback_word(peek())) {
      ++at_;
      pieces.push_back(arena_.make(Kind::kSymbol, {}, "otherwise"));
    } else {
      const Ref worded = worded_condition();
      pieces.push_back(worded != nullptr ? worded : piece_condition());
    }
    accept(",");
    accept(".");
    while (accept("\\\\")) {
    }
    if (peek().type == Type::kEnd) fail("cases that never end");
    if (pieces.size() > kMaxListLength) throw OverBudget("too many cases");
  }
  in_matrix_ = outer;
  ++at_;
  if (pieces.empty()) fail("empty cases");
  return arena_.make(Kind::kPiecewise, std::move(pieces));
}

// \left\{\begin{array}{l}x=3\\y=4\end{array}\right. is a system or a function piece by piece.
Ref Parser::braced_rows() {
  at_ += 2;
  if (at_punct("{")) group_text();
  const Ref out = cases("array");
  accept("\\}");
  return out;
}

// Whether a relation stands `ahead` tokens on, as behind the & of x&=3.
bool Parser::is_relation_ahead(size_t ahead) {
  const size_t start = std::exchange(at_, at_ + ahead);
  const bool out = relation_operator().has_value();
  at_ = start;
  return out;
}

// A condition of a name and words, "n\text{ is even}" or "n\text{ even}", which is compared word for word. Null when
// the condition is of another form.
Ref Parser::worded_condition() {
  constexpr std::string_view kSilentWords[] = {"is", "are", "if", "when", "for"};
  std::string text;
  size_t words = 0;
  size_t end = 0;
  for (; peek(end).type == Type::kSymbol || is_word(peek(end)); ++end) {
    const std::string word = is_word(peek(end)) ? lower(peek(end).text) : peek(end).text;
    if (is_one_of(word, kSilentWords)) continue;
    words += is_word(peek(end)) ? 1 : 0;
    text += (text.empty() ? "" : " ") + word;
  }
  const Token& behind = peek(end);
  const bool ends = behind.is_punct("\\\\") || behind.is_punct(",") || behind.is_punct(".") ||
                    (behind.type == Type::kCommand && behind.text.starts_with("end:"));
  if (words == 0 || words > 2 || !ends) return nullptr;
  at_ += end;
  return arena_.make(Kind::kOpaque, {}, text);
}

// "x \ge 0", "x < -1 \text{ or } x > 1".
Ref Parser::piece_condition() {
  std::vector<Ref> items{relation()};
  std::vector<std::string> separators;
  while (true) {
    const std::string between = separator();
    if (between.empty()) break;
    if (at_punct("\\\\")) break;
    items.push_back(relation());
    separators.push_back(between);
  }
  return items.size() == 1 ? items[0] : join_items(std::move(items), separators);
}

}  // namespace grpo::verifier
