#pragma once

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "verifier/rational.h"

namespace grpo::verifier {

struct Token {
  enum class Type {
    kNumber,   // text is the spelling without separators; number its value
    kSymbol,   // text is a variable's name: one letter, or a Greek letter's command
    kWord,     // text is a run of letters with a meaning: function, unit, "and"
    kText,     // text is what \text{...} holds, trimmed
    kCommand,  // text is a command's name, "begin:pmatrix", "end:pmatrix"
    kPunct,    // text is one character, or "\\{", "\\}", "<=", ">=", "!=", "\\\\" (a row break)
    kEnd,
  };
  Type type = Type::kEnd;
  std::string text;
  Rational number;
  int significant_digits = 0;  // of a number with a decimal point
  int fraction_digits = 0;
  bool space_before = false;
  bool vector = false;  // a symbol under an arrow or in bold

  bool is(Type t, std::string_view s) const { return type == t && text == s; }
  bool is_punct(std::string_view s) const { return is(Type::kPunct, s); }
};

struct LexOptions {
  bool commas_separate = false;  // reads "1,234" as a list of 1 and 234 instead of one number
};

/// Tokens of one answer, with kEnd last. REQUIRES: the text went through to_latex(). Spacing and sizing commands, \left
/// and \right give no tokens, and dollar signs only where they are a currency. Throws ParseError or OverBudget.
std::vector<Token> lex(std::string_view text, const LexOptions& options = {});

/// Names of functions that take an argument without brackets: sin, ln, max, ... as in \sin or plain sin.
bool is_function_name(std::string_view name);
bool is_greek_letter(std::string_view name);

/// The body of a braced group: `at` is behind the opening brace and moves behind the closing one. Throws ParseError.
std::string_view braced(std::string_view text, size_t& at);

/// `text` without spaces and "~" at both ends; trimmed() returns a view into it.
std::string_view trimmed(std::string_view text);
std::string trim(std::string_view text);

/// Takes the first of `words` (in small letters) that a text begins with off it, whatever its case. False where it
/// begins with none.
bool take_word(std::string_view& text, std::initializer_list<std::string_view> words);

/// Whether a text begins with a letter and an equals sign: "x = 3".
bool begins_equation(std::string_view text);
std::string lower(std::string_view text);  // ASCII letters only

/// Whether the word is one of a table, which is an array of either kind or a list.
template <typename Words>
bool is_one_of(std::string_view word, const Words& words) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}
inline bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace grpo::verifier
