#include "verifier/lexer.h"

#include <algorithm>
#include <array>

#include "verifier/budget.h"
#include "verifier/char_class.h"
#include "verifier/lexer_tables.h"
#include "verifier/number_lexer.h"
#include "verifier/token_passes.h"
#include "verifier/units.h"
#include "verifier/word_lexer.h"

namespace grpo::verifier {
namespace {

using Type = Token::Type;

bool has_letter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return is_letter(c) || (c & 0x80) != 0; });
}

class Lexer {
 public:
  /// `text_depth` is the number of enclosing \text groups; inside one, letters are words.
  Lexer(std::string_view text, const LexOptions& options, int text_depth = 0)
      : text_(text), options_(options), text_depth_(text_depth), in_text_(text_depth > 0), prose_(in_text_) {
    if (text_depth > kMaxTextDepth) throw OverBudget("texts nest too deeply");
    size_t dollars = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\') {
        ++i;
      } else if (text[i] == '$') {
        ++dollars;
      }
    }
    lone_dollar_ = dollars % 2 == 1;
  }

  std::vector<Token> run() {
    while (at_ < text_.size()) step();
    return std::move(tokens_);
  }

 private:
  void push(Type type, std::string text) {
    if (tokens_.size() >= kMaxTokens) throw OverBudget("the answer has too many parts");
    Token token;
    token.type = type;
    token.text = std::move(text);
    token.space_before = space_;
    token.vector = type == Type::kSymbol && (vector_ || token.text == "nabla");
    vector_ = vector_ && token.is_punct("{");
    space_ = false;
    tokens_.push_back(std::move(token));
  }

  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  // Whether the expression so far, up to its last relation or comma, is a sum that holds a symbol.
  bool in_sum_with_names() const {
    bool name = false, sign = false;
    for (auto token = tokens_.rbegin(); token != tokens_.rend(); ++token) {
      if (token->type == Type::kPunct && std::string_view("=<>,;").find(token->text) != std::string_view::npos) break;
      name = name || token->type == Type::kSymbol;
      sign = sign || token->is_punct("+") || token->is_punct("-");
    }
    return name && sign;
  }

  bool after_value() const {
    if (tokens_.empty()) return false;
    const Token& last = tokens_.back();
    return last.type == Type::kNumber || last.type == Type::kSymbol || last.is_punct(")") || last.is_punct("}") ||
           last.is_punct("!");
  }

  void step() {
    const char c = text_[at_];
    if (is_space(c) || c == '~') {
      space_ = true;
      ++at_;
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      lex_number();
    } else if (c == '\\') {
      lex_backslash();
    } else if (ends_sentence(c)) {
      ++at_;
    } else if (prose_ && (is_letter(c) || (c & 0x80) != 0)) {
      lex_prose_word();
    } else if (is_letter(c)) {
      lex_word();
    } else if ((c & 0x80) != 0) {
      lex_foreign();
    } else {
      lex_punct();
    }
  }

  // The full stop of \text{There are 18 ways.} says nothing; that of \text{5.} is left to the number.
  bool ends_sentence(char c) const {
    return prose_ && (c == '.' || c == '!') && !tokens_.empty() && tokens_.back().type == Type::kText &&
           tokens_.back().text.size() > 1 && trimmed(text_.substr(at_ + 1)).empty();
  }

  // Python's 0xFF and 0b1101.
  bool lex_prefixed_number() {
    const int base = peek(1) == 'x' ? 16 : peek(1) == 'b' ? 2 : 0;
    if (peek() != '0' || base == 0) return false;
    size_t end = at_ + 2;
    const auto is_digit_of_base = [&](char c) {
      return base == 2 ? c == '0' || c == '1' : is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    while (end < text_.size() && is_digit_of_base(text_[end])) ++end;
    const bool goes_on = end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]) || text_[end] == '.');
    if (end < at_ + 4 || end > at_ + 40 || goes_on) return false;
    std::string digits(text_.substr(at_ + 2, end - at_ - 2));
    for (char& c : digits) c = is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
    at_ = end;
    push(Type::kNumber, digits);
    tokens_.back().number = Rational::from_digits(digits, base);
    tokens_.back().text = tokens_.back().number.to_string();
    return true;
  }

  void lex_number() {
    if (lex_prefixed_number()) return;
    const bool loose = !options_.commas_separate && depth_ == 0;
    NumberText number = lex_number_text(text_, at_, loose);
    at_ = number.end;
    const auto next = trimmed(text_.substr(at_));
    if (text_[at_ - 1] == '.' && is_space(peek()) && !next.empty() && (is_digit(next[0]) || begins_equation(next)))
      throw ParseError("a sentence ends within the answer");  // "x = 3. x = 5"
    push(Type::kNumber, number.spelling);
    tokens_.back().number = std::move(number.value);
    tokens_.back().significant_digits = number.significant_digits;
    tokens_.back().fraction_digits = number.fraction_digits;
  }

  void lex_punct() {
    const char c = text_[at_];
    const std::string two{c, peek(1)};
    const bool factorial = two == "!=" && after_value() && !space_;  // 5!=120, but x != 3
    if (two == "<=" || two == ">=" || (two == "!=" && !factorial)) {
      at_ += 2;
      push(Type::kPunct, two);
      return;
    }
    if (two == "==" || two == "**") {
      at_ += 2;
      push(Type::kPunct, two == "==" ? "=" : "^");
      return;
    }
    ++at_;
    if (c == '$') {
      if (lone_dollar_)
        push(Type::kCommand, "dollar");
      else if (in_text_)
        prose_ = !prose_;
      space_ = true;
      return;
    }
    if (c == '"') return;
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) throw ParseError("a control character");
    if (c == '(' || c == '[') ++depth_;
    if ((c == ')' || c == ']') && depth_ > 0) --depth_;
    push(Type::kPunct, std::string(1, c));
  }

  void lex_backslash() {
    ++at_;
    const char c = peek();
    if (is_letter(c)) {
      lex_command(take_name());
      return;
    }
    ++at_;
    switch (c) {
      case ',':
      case ';':
      case ':':
      case ' ':
      case '!':
      case '>':
      case '/':
      case '\n':
      case '\t':
        space_ = true;
        return;
      case '{':
        ++depth_;
        push(Type::kPunct, "\\{");
        return;
      case '}':
        if (depth_ > 0) --depth_;
        push(Type::kPunct, "\\}");
        return;
      case '$':
        push(Type::kCommand, "dollar");
        return;
      case '%':
        push(Type::kPunct, "%");
        return;
      case '|':
        push(Type::kPunct, "|");
        return;
      case '(':
      case ')':
      case '[':
      case ']':
        space_ = true;
        return;  // inline and display mathematics
      case '_':
      case '&':
      case '#':
        push(Type::kPunct, std::string(1, c));
        return;
      case '\\':
        lex_row_break();
        return;
      default:
        throw ParseError("an unknown escape");
    }
  }

  // "\\" ends a row; but "\\frac" comes from text that was escaped twice.
  void lex_row_break() {
    size_t end = at_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const std::string_view name = text_.substr(at_, end - at_);
    static constexpr std::array<std::string_view, 6> kShort = {"pi", "le", "ge", "ne", "pm", "in"};
    const bool escaped_twice =
        is_one_of(name, kShort) ||
        (name.size() > 2 && (is_known_command(name) || is_function_name(name) || is_greek_letter(name)));
    if (escaped_twice) {
      lex_command(take_name());
      return;
    }
    if (peek() == '[') {  // \\[2mm]
      const size_t close = text_.find(']', at_);
      if (close != std::string_view::npos && close - at_ < 8) at_ = close + 1;
    }
    push(Type::kPunct, "\\\\");
  }

  static bool is_known_command(std::string_view name) {
    static constexpr std::array<std::string_view, 22> kCommon = {
        "frac", "dfrac", "tfrac", "cdot",  "times", "left", "right", "infty", "cup",    "cap",      "circ",
        "leq",  "geq",   "neq",   "begin", "end",   "pm",   "binom", "sqrt",  "approx", "overline", "quad"};
    return is_one_of(name, kCommon) || is_one_of(name, kTexts) || is_one_of(name, kStyles) || is_one_of(name, kRomans);
  }

  std::string take_name() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_letter(text_[at_])) ++at_;
    if (peek() == '*' && text_.substr(begin, at_ - begin) == "operatorname") ++at_;
    for (const std::string_view space : {"qquad", "quad"}) {  // "\quadx_2" lost the space behind its command
      if (text_.substr(begin, at_ - begin).starts_with(space)) at_ = begin + space.size();
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  void skip_spaces() {
    while (is_space(peek()) || peek() == '~') ++at_;
  }

  void lex_command(const std::string& name) {
    if ((name == "quad" || name == "qquad") && equation_follows()) {
      push(Type::kPunct, ",");
    } else if (is_one_of(std::string_view(name), kInvisible)) {
      space_ = true;
    } else if (name == "left" || name == "right") {
      skip_spaces();
      if (peek() == '.') ++at_;
    } else if (is_one_of(std::string_view(name), kSkipped) ||
               (name == "overset" && peek() == '{' && peek(1) == '!' && peek(2) == '}')) {
      skip_group();
    } else if (is_one_of(std::string_view(name), kTexts)) {
      lex_text();
    } else if (is_one_of(std::string_view(name), kRomans)) {
      lex_roman();
    } else if ((name == "vec" || name == "overrightarrow") && arrow_length() > 1) {
      lex_accent("vec");  // one symbol, since the vector AB is not BA
    } else if (is_one_of(std::string_view(name), kStyles)) {
      if (peek() == '*') ++at_;
      vector_ = name == "vec" || name == "mathbf" || name == "boldsymbol" || name == "bm" || name == "overrightarrow";
    } else if (is_one_of(std::string_view(name), kAccents) || name == "dot" || name == "ddot") {
      lex_accent(name);
    } else if (name == "begin" || name == "end") {
      skip_group_open();
      push(Type::kCommand, name + ":" + trim(braced(text_, at_)));
    } else if (name == "lbrace" || name == "rbrace") {
      depth_ = std::max(0, depth_ + (name == "lbrace" ? 1 : -1));
      push(Type::kPunct, name == "lbrace" ? "\\{" : "\\}");
    } else if (name == "fcolorbox") {
      skip_group();
      skip_group();
    } else if (name == "Re" || name == "Im") {
      push(Type::kText, name);
    } else if (name == "prime") {
      push(Type::kPunct, "'");
    } else if (name == "mid" || name == "vert" || name == "lvert" || name == "rvert" || name == "Vert" ||
               name == "lVert" || name == "rVert") {
      push(Type::kPunct, "|");
    } else if (name == "colon") {
      push(Type::kPunct, ":");
    } else if (name == "pounds") {
      push(Type::kCommand, "pound");
    } else if (name == "AA") {
      push(Type::kText, "angstrom");
    } else if (name == "top" || name == "intercal") {
      push(Type::kSymbol, "T");
    } else if (is_greek_letter(name)) {
      // \varphi is a way to draw \phi.
      push(Type::kSymbol, name.starts_with("var") ? name.substr(3) : name);
    } else {
      push(Type::kCommand, name);
    }
  }

  // Whether an equation stands before and "y =" behind: x = 1 \quad y = 2.
  bool equation_follows() const {
    return begins_equation(trimmed(text_.substr(at_))) && depth_ == 0 &&
           std::any_of(tokens_.begin(), tokens_.end(), [](const Token& t) { return t.is_punct("="); }) &&
           !tokens_.back().is_punct(",");
  }

  // The number of capitals in the group that follows, or 0 when it holds anything else.
  size_t arrow_length() const {
    if (peek() != '{') return 0;
    size_t length = 0;
    while (is_upper(peek(1 + length))) ++length;
    return peek(1 + length) == '}' ? length : 0;
  }

  void skip_group_open() {
    skip_spaces();
    if (peek() != '{') throw ParseError("a command without its group");
    ++at_;
  }

  void skip_group() {
    skip_spaces();
    space_ = true;
    if (peek() != '{') {  // \phantom -: one character
      at_ += at_ < text_.size() ? 1 : 0;
      return;
    }
    ++at_;
    braced(text_, at_);
  }

  // Reads \text{...}: letters are words, the numbers, signs and $...$ among them mathematics.
  void lex_text() {
    skip_spaces();
    if (peek() != '{') return;
    const size_t open = at_;
    ++at_;
    const std::string_view body = trimmed(braced(text_, at_));
    if (body.empty()) {
      space_ = true;
    } else if (is_function_name(body) && body.size() > 2 && !find_unit(body)) {
      push(Type::kCommand, std::string(body));  // \text{cis} 60
    } else if (has_letter(body)) {
      append_prose(body);
    } else if (body.find_first_not_of(" ,;.") == std::string_view::npos) {
      for (const char c : body) {  // \text{, }
        if (c == ',' || c == ';') push(Type::kPunct, std::string(1, c));
      }
      space_ = true;
    } else if (body == "-" && after_value()) {
      throw ParseError("a hyphen");  // x\text{-}y
    } else if (std::none_of(body.begin(), body.end(), is_digit)) {
      append_prose(body);  // \text{ \%}
    } else {
      at_ = open;
    }
  }

  void append_prose(std::string_view body) {
    for (Token& token : Lexer(body, options_, text_depth_ + 1).run()) {
      if (tokens_.size() >= kMaxTokens) throw OverBudget("the answer has too many parts");
      token.space_before = token.space_before || space_;
      space_ = false;
      tokens_.push_back(std::move(token));
    }
  }

  // \mathrm{e} and \mathrm{58} are mathematics, \mathrm{cm} is a word; \mathrm{m} is a unit behind a number.
  void lex_roman() {
    skip_spaces();
    if (peek() != '{') return lex_roman_letter();
    const size_t open = at_;
    ++at_;
    const std::string_view raw = trimmed(braced(text_, at_));
    std::string body;
    for (const char c : raw) {
      if (!is_space(c) && c != '~') body += c;
    }
    const bool letters = !body.empty() && std::all_of(body.begin(), body.end(), is_letter);
    const auto unit_place = [this] { return after_value() || after_unit(); };
    if (letters && is_function_name(body) && !(find_unit(body) && unit_place())) {  // 5\,\mathrm{min} is a time
      push(Type::kCommand, body);
    } else if (letters && body.size() == 1 && (is_upright_constant(body) || !unit_place())) {
      push(Type::kSymbol, body);
    } else if (letters || (after_value() && has_letter(body) && reads_as_unit(raw))) {
      append_prose(raw);
    } else {
      at_ = open;
    }
  }

  static bool is_upright_constant(std::string_view letter) { return letter == "e" || letter == "i" || letter == "d"; }

  // \mathrm m: a unit behind a value, else a symbol.
  void lex_roman_letter() {
    const std::string letter(1, peek());
    const bool place = after_value() || after_unit();
    if (!place || !is_letter(letter[0]) || is_upright_constant(letter) || !find_unit(letter)) return;
    ++at_;
    push(Type::kText, letter);
  }

  // Whether the last tokens are a unit, perhaps with an exponent or a sign that joins another unit: m\cdot, s^{-1}, kg/
  bool after_unit() const {
    size_t end = tokens_.size();
    const auto last = [&](std::string_view text) { return end > 0 && tokens_[end - 1].text == text; };
    if (last("*") || last("/") || last("cdot") || last("times")) --end;
    if (end > 3 && last("}")) {
      while (end > 0 && !last("{")) --end;
      end = last("{") ? end - 1 : 0;
      end = last("^") ? end - 1 : 0;
    } else if (end > 1 && tokens_[end - 1].type == Type::kNumber && tokens_[end - 2].is_punct("^")) {
      end -= 2;
    }
    const bool word = end > 0 && (tokens_[end - 1].type == Type::kText || tokens_[end - 1].type == Type::kWord);
    return word && find_unit(tokens_[end - 1].text).has_value();
  }

  // Whether "2 g /" stands before a unit of several letters. 2g/cm without a space may be a product.
  bool after_unit_letter(std::string_view unit) const {
    if (tokens_.size() < 3 || unit.size() < 2) return false;
    const Token& letter = tokens_[tokens_.size() - 2];
    return letter.type == Type::kSymbol && letter.space_before && find_unit(letter.text) &&
           tokens_[tokens_.size() - 3].type == Type::kNumber;
  }

  // cm, m/s^2, {}^\circ C, N\cdot m, \mu m
  bool reads_as_unit(std::string_view raw) const {
    return find_unit(raw) || is_unit_formula(raw) || raw.find("\\circ") != std::string_view::npos ||
           raw.find("\\mu") != std::string_view::npos || raw.find("\\Omega") != std::string_view::npos;
  }

  void lex_accent(const std::string& name) {
    skip_spaces();
    std::string body;
    if (peek() == '{') {
      ++at_;
      body = trim(braced(text_, at_));
    } else if (peek() == '\\') {
      ++at_;
      body = take_name();
    } else if (at_ < text_.size()) {
      body = text_[at_++];
    }
    const bool digits = !body.empty() && std::all_of(body.begin(), body.end(), is_digit);
    if (digits && peek() == '_') {  // \overline{52}_8 is a numeral
      push(Type::kNumber, body);
      tokens_.back().number = Rational::from_decimal(body);
      return;
    }
    if (digits) throw ParseError("an accent over digits");
    std::string letters;
    for (const char c : body) {
      if (is_letter(c) || is_digit(c)) letters += c;
    }
    const bool hat = name == "hat" || name == "widehat";
    if (hat && is_one_of(std::string_view(letters), kUnitVectors)) {
      vector_ = true;
      return push(Type::kSymbol, letters.substr(0, 1));
    }
    push(Type::kSymbol, (name == "overline"         ? "bar"
                         : name.starts_with("wide") ? name.substr(4)
                                                    : name) +
                            " " + letters);
  }

  void lex_word() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_letter(text_[at_])) ++at_;
    const auto word = text_.substr(begin, at_ - begin);
    if ((word == "np" || word == "math" || word == "numpy") && peek() == '.' && is_letter(peek(1))) {  // np.arcsin(...)
      ++at_;
      return;
    }
    if (word == "Abs" && peek() == '(') return push(Type::kWord, "abs");
    const bool divides = !tokens_.empty() && tokens_.back().is_punct("/");
    if (divides && (after_unit() || after_unit_letter(word)) && find_unit(word)) {  // the h of km/h, the cm of g/cm
      tokens_[tokens_.size() - 2].type = Type::kText;
      return push(Type::kText, std::string(word));
    }
    const bool per = !tokens_.empty() && tokens_.back().is(Type::kWord, "per");  // dollars per day
    // m^2+3nm, and F-\mu mg, where the space ends the name of a Greek letter.
    const bool greek = !tokens_.empty() && tokens_.back().type == Type::kSymbol && tokens_.back().text.size() > 1;
    const bool factors = (!space_ || greek) && in_sum_with_names();
    if ((word == "sq" || word == "cu") && after_value() && peek() == '.') ++at_;  // sq. ft
    for (auto& run : split_letters(word, (after_value() && !factors) || per))
      push(run.word ? Type::kWord : Type::kSymbol, std::move(run.text));
  }

  // A word of \\text{...}: letters of any script, with hyphens and apostrophes inside; "a.m." loses its points, "A5"
  // keeps its digits.
  void lex_prose_word() {
    std::string word;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool letter = is_letter(c) || (c & 0x80) != 0;
      const bool inner = (c == '-' || c == '\'') && !word.empty() && is_letter(peek(1));
      const bool point = c == '.' && word.size() <= 3 &&
                         (is_letter(peek(1)) || abbreviates_ || word == "sq" || word == "cu" || word == "ft");
      if (point) {
        abbreviates_ = is_letter(peek(1));
        ++at_;
        continue;
      }
      if (!letter && !inner && !is_digit(c)) break;
      word += c;
      ++at_;
    }
    abbreviates_ = false;
    push(Type::kText, std::move(word));
  }

  // Letters of other scripts are words, as a whole run.
  void lex_foreign() {
    const size_t begin = at_;
    while (at_ < text_.size() && (text_[at_] & 0x80) != 0) ++at_;
    push(Type::kText, std::string(text_.substr(begin, at_ - begin)));
  }

  static constexpr int kMaxTextDepth = 8;
  static constexpr std::array<std::string_view, 5> kUnitVectors = {"i", "j", "k", "imath", "jmath"};

  std::string_view text_;
  LexOptions options_;
  int text_depth_;
  bool in_text_;
  bool prose_;  // in a text, outside of its $...$
  size_t at_ = 0;
  int depth_ = 0;  // open round brackets, square brackets and sets, inside which commas separate items
  bool space_ = false;
  bool lone_dollar_ = false;
  bool vector_ = false;       // the next symbol stands under an arrow
  bool abbreviates_ = false;  // inside "a.m."
  std::vector<Token> tokens_;
};

}  // namespace

bool is_function_name(std::string_view name) { return is_one_of(name, kFunctions); }
bool is_greek_letter(std::string_view name) { return is_one_of(name, kGreek); }

std::string_view braced(std::string_view text, size_t& at) {
  const size_t begin = at;
  int depth = 1;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '{') {
      ++depth;
    } else if (text[at] == '}' && --depth == 0) {
      return text.substr(begin, at++ - begin);
    }
  }
  throw ParseError("a group that never closes");
}

std::string_view trimmed(std::string_view text) {
  size_t begin = 0;
  size_t end = text.size();
  while (begin < end && (is_space(text[begin]) || text[begin] == '~')) ++begin;
  while (end > begin && (is_space(text[end - 1]) || text[end - 1] == '~')) --end;
  return text.substr(begin, end - begin);
}

std::string trim(std::string_view text) { return std::string(trimmed(text)); }

bool take_word(std::string_view& text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (lower(text.substr(0, word.size())) != word) continue;
    text.remove_prefix(word.size());
    return true;
  }
  return false;
}

bool begins_equation(std::string_view text) {
  return !text.empty() && is_letter(text[0]) && trimmed(text.substr(1)).starts_with('=');
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::vector<Token> lex(std::string_view text, const LexOptions& options) {
  auto tokens = Lexer(text, options).run();
  tokens.emplace_back();
  split_digit_arguments(tokens);
  drop_double_brackets(tokens);
  read_python_names(tokens);
  group_divisors(tokens);
  join_segments(tokens);
  return tokens;
}

}  // namespace grpo::verifier
