#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verifier/ast.h"
#include "verifier/condition.h"
#include "verifier/lexer.h"

namespace grpo::verifier {

/// An answer and where it holds.
struct Statement {
  Ref node = nullptr;
  Condition condition;
};

/// Reads one answer (docs/verifier.md has the grammar). REQUIRES: `text` went through to_latex(). Throws ParseError or
/// OverBudget.
Statement parse_statement(std::string_view text, Arena& arena, const LexOptions& options = {});
/// parse_statement() for callers that do not need the condition.
Ref parse_answer(std::string_view text, Arena& arena, const LexOptions& options = {});

/// "or" or "and" when the word is one of them or a translation ("und", "或"); else "".
std::string conjunction(std::string_view word);

/// \\frac, \\dfrac and the other commands that take a numerator and a denominator.
bool is_fraction_command(const Token& token);

/// An explicit sign of multiplication or division.
bool is_times(const Token& token);
bool is_divide(const Token& token);

/// How strongly operators bind; see Parser::expression().
inline constexpr int kUnitPower = 5;
inline constexpr int kSumPower = 10;
inline constexpr int kProductPower = 20;
inline constexpr int kChoosePower = 0;  // {n+1 \choose k} takes all of its group

/// Recursive descent over lists, relations and set operations (parser_answer.cpp), precedence climbing below them
/// (parser.cpp), and one function per kind of operand (parser_operands.cpp and the other parser_*.cpp).
class Parser {
 public:
  Parser(std::vector<Token> tokens, Arena& arena) : tokens_(std::move(tokens)), arena_(arena) {}
  Ref answer();

 private:
  using Type = Token::Type;

  // Tokens.
  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token take() { return tokens_[std::min(at_++, tokens_.size() - 1)]; }
  bool at_punct(std::string_view text) const { return peek().is_punct(text); }
  bool at_command(std::string_view name) const { return peek().is(Type::kCommand, name); }
  bool accept(std::string_view punct);
  void expect(std::string_view punct);
  [[noreturn]] void fail(const std::string& why) const { throw ParseError(why); }

  // Lists, relations, sets.
  Ref list();               // items up to a closing bracket or the end
  std::string separator();  // consumes one separator; "" when none stands here
  Ref join_items(std::vector<Ref> items, const std::vector<std::string>& separators);
  Ref relation();
  Ref left_side();
  Ref unread_name();
  bool relation_ahead();
  bool starts_separator();
  std::optional<Relation> relation_operator();
  Ref set_expression();
  Ref ratio();

  // Expressions.
  Ref expression(int min_power = 0);
  Ref infix(Ref left, int min_power, bool& done);
  Ref operand();  // a sign or a primary with its postfix operators
  Ref postfix(Ref left);
  Ref power_of(Ref base);
  Ref exponent();
  Ref subscript(Ref base);
  bool starts_operand() const;
  Ref joined_quantity(Ref left);
  Ref vector_product(Ref left, const std::string& sign);
  Ref degree_scale(Ref degrees);
  bool at_unit_word() const;
  bool at_time_word() const;
  std::string take_unit_word();
  std::string take_unit_group();
  bool is_glued_to_last_term(Ref sum) const;
  bool starts_unit(Ref left) const;
  Ref unit_of(Ref value);
  bool takes_article();
  bool second_noun() const;
  std::string take_unit_phrase();
  std::string take_unit_fraction();
  Ref scaled(Ref value, std::string& phrase);
  bool letter_times(Ref left) const;

  // Operands.
  Ref primary();
  Ref number();
  Ref based_number();
  Ref bracketed_based_number();
  std::string base_text();
  Ref combination();
  Ref symbolic_combination();
  Ref leading_combination();
  Ref typed_combination();
  Ref count_of(char letter, const Rational& n, const Rational& k);
  const Token* script_number(std::string_view mark, size_t& ahead) const;
  Ref mixed_number(Ref whole);
  Ref factor_behind(Ref left);
  Ref quotient(Ref left, Ref right, bool sign);
  size_t literal_fraction_end() const;
  Ref symbol();
  Ref word();
  Ref python_call(const std::string& name);
  Ref named_value(const std::string& low);  // null when the word is no value
  Ref text_operand();
  Ref bracket();
  Ref bracket_elements(const std::string& open);
  Ref group();  // {...}
  Ref bars();
  Ref apply(Ref name);
  std::string group_text();  // of a subscript
  Ref digits_in_base(const std::string& digits, const std::string& base);

  // Commands.
  Ref command();
  Ref fraction();
  Ref typed_derivative(Ref top);
  Ref root();
  Ref binomial();
  Ref big_operator(Kind kind);
  Ref environment(const std::string& name);
  Ref matrix(const std::string& environment);
  Ref rows(const std::string& environment);
  Ref cases(const std::string& environment);
  Ref braced_rows();
  Ref piece_condition();
  Ref worded_condition();
  bool is_relation_ahead(size_t ahead);
  Ref function(const std::string& name);
  Ref function_argument();
  Ref bracket_argument();
  Ref set_condition(Ref member);
  Ref logarithm(const std::string& name);
  Ref named_set(const std::string& name);
  Ref currency(const std::string& name);
  Ref between(const std::string& name, Kind kind, const std::string& close);
  Ref tex_argument();  // one digit, one token or one group

  std::vector<Token> tokens_;
  size_t at_ = 0;
  Arena& arena_;
  int depth_ = 0;
  int bars_ = 0;             // number of open |...|, inside which a bar closes instead of opening
  bool colon_ends_ = false;  // in { x : x > 2 } the colon is no ratio
  bool in_matrix_ = false;
  bool sums_over_i_ = false;  // inside a sum whose index is i, so that i is not the imaginary unit
  bool logical_ = false;      // a separator of this list was \land or \lor
  bool reversed_ = false;     // inside ]1, 2[, where [ closes

  friend class DepthGuard;
};

/// Counts the nesting of brackets, which bounds the recursion.
class DepthGuard {
 public:
  explicit DepthGuard(Parser& parser) : parser_(parser) {
    if (++parser_.depth_ > kMaxDepth) throw OverBudget("brackets nest too deeply");
  }
  ~DepthGuard() { --parser_.depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Parser& parser_;
};

}  // namespace grpo::verifier
