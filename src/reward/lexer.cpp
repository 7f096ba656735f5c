#include "reward/lexer.h"

#include <algorithm>
#include <array>

#include "reward/budget.h"
#include "reward/char_class.h"
#include "reward/number_lexer.h"
#include "reward/units.h"

namespace grpo::reward {
namespace {

using Type = Token::Type;

template <size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr std::array<std::string_view, 45> kFunctions = {
    "sin",    "cos",    "tan",    "cot",     "sec",     "csc",    "arcsin", "arccos", "arctan", "arccot",  "arcsec", "arccsc",
    "asin",   "acos",   "atan",   "sinh",    "cosh",    "tanh",   "coth",   "sech",   "csch",   "arcsinh", "arccosh",
    "arctanh", "asinh", "acosh",  "atanh",   "log",     "ln",     "lg",     "exp",    "sqrt",   "max",     "min",    "gcd",
    "lcm",    "abs",    "floor",  "ceil",    "cbrt",    "sgn",    "arg",    "cis",    "cosec",  "operatorname"};

constexpr std::array<std::string_view, 46> kGreek = {
    "alpha", "beta",  "gamma",  "delta",    "epsilon", "varepsilon", "zeta",  "eta",   "theta",  "vartheta", "iota",  "kappa",
    "lambda", "mu",   "nu",     "xi",       "rho",     "varrho",     "sigma", "tau",   "upsilon", "phi",     "varphi", "chi",
    "psi",   "omega", "Gamma",  "Delta",    "Theta",   "Lambda",     "Xi",    "Pi",    "Sigma",  "Upsilon",  "Phi",   "Psi",
    "Omega", "ell",   "hbar",   "odot",     "mho",     "partial",    "nabla", "aleph", "star",   "bigstar"};

// Commands that only space or size things.
constexpr std::array<std::string_view, 31> kInvisible = {
    "quad", "qquad", "enspace", "thinspace", "medspace", "thickspace", "negthinspace", "displaystyle", "textstyle", "scriptstyle", "limits",
    "nolimits", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr",
    "Biggl", "Biggr", "hfill", "rm", "bf", "it", "nonumber", "normalsize"};

// Commands whose group is read as mathematics.
constexpr std::array<std::string_view, 15> kStyles = {"mathcal", "mathbf", "boldsymbol", "mathit", "mathsf", "mathtt", "vec", "bm",
                                                      "pmb", "overrightarrow", "boxed", "fbox", "ensuremath", "mathring", "underline"};
constexpr std::array<std::string_view, 11> kTexts = {"text", "mbox", "textbf", "textit", "textrm", "textnormal",
                                                     "textsf", "texttt", "hbox", "textup", "emph"};
constexpr std::array<std::string_view, 4> kRomans = {"mathrm", "operatorname", "mathop", "operatorname*"};
constexpr std::array<std::string_view, 6> kAccents = {"bar", "hat", "tilde", "overline", "widehat", "widetilde"};

bool has_letter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return is_letter(c) || (c & 0x80) != 0; });
}

bool ascending(std::string_view word) {
  return std::adjacent_find(word.begin(), word.end(), std::greater_equal<char>()) == word.end();
}

class Lexer {
 public:
  Lexer(std::string_view text, const LexOptions& options) : text_(text), options_(options) {
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
    push(Type::kEnd, "");
    drop_double_brackets();
    return std::move(tokens_);
  }

 private:
  // {{x}} and ((x)) say no more than {x} and (x). Linear, so that hundreds of them cost no depth.
  void drop_double_brackets() {
    constexpr size_t kNone = static_cast<size_t>(-1);
    std::vector<size_t> match(tokens_.size(), kNone);
    std::vector<size_t> open;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const Token& token = tokens_[i];
      if (token.is_punct("{") || token.is_punct("(")) open.push_back(i);
      if (!token.is_punct("}") && !token.is_punct(")")) continue;
      const std::string_view opener = token.text == "}" ? "{" : "(";
      if (open.empty() || tokens_[open.back()].text != opener) return;  // unbalanced: the parser will say so
      match[open.back()] = i;
      match[i] = open.back();
      open.pop_back();
    }
    const auto doubled = [&](size_t i) {
      if (match[i] == kNone) return false;
      const size_t first = std::min(i, match[i]);
      const size_t last = std::max(i, match[i]);
      return first + 1 < last && match[first + 1] == last - 1 && tokens_[first].text == tokens_[first + 1].text;
    };
    std::vector<char> drop(tokens_.size());
    for (size_t i = 0; i < tokens_.size(); ++i) drop[i] = doubled(i) ? 1 : 0;
    std::vector<Token> kept;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (drop[i] == 0) kept.push_back(std::move(tokens_[i]));
    }
    tokens_ = std::move(kept);
  }

  void push(Type type, std::string text) {
    if (tokens_.size() >= kMaxTokens) throw OverBudget("the answer has too many parts");
    Token token;
    token.type = type;
    token.text = std::move(text);
    token.space_before = space_;
    space_ = false;
    tokens_.push_back(std::move(token));
  }

  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  bool after_value() const {
    if (tokens_.empty()) return false;
    const Token& last = tokens_.back();
    return last.type == Type::kNumber || last.type == Type::kSymbol || last.is_punct(")") || last.is_punct("}") || last.is_punct("!");
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
    } else if (is_letter(c)) {
      lex_word();
    } else if ((c & 0x80) != 0) {
      lex_foreign();
    } else {
      lex_punct();
    }
  }

  void lex_number() {
    const bool loose = !options_.commas_separate && depth_ == 0;
    NumberText number = lex_number_text(text_, at_, loose);
    at_ = number.end;
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
      if (lone_dollar_) push(Type::kCommand, "dollar");
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
      case ',': case ';': case ':': case ' ': case '!': case '>': case '/': case '\n': case '\t': space_ = true; return;
      case '{': ++depth_; push(Type::kPunct, "\\{"); return;
      case '}': if (depth_ > 0) --depth_; push(Type::kPunct, "\\}"); return;
      case '$': push(Type::kCommand, "dollar"); return;
      case '%': push(Type::kPunct, "%"); return;
      case '|': push(Type::kPunct, "|"); return;
      case '(': case ')': case '[': case ']': space_ = true; return;  // inline and display mathematics
      case '_': case '&': case '#': push(Type::kPunct, std::string(1, c)); return;
      case '\\': lex_row_break(); return;
      default: throw ParseError("an unknown escape");
    }
  }

  // "\\" ends a row; but "\\frac" comes from text that was escaped twice.
  void lex_row_break() {
    size_t end = at_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const std::string_view name = text_.substr(at_, end - at_);
    static constexpr std::array<std::string_view, 6> kShort = {"pi", "le", "ge", "ne", "pm", "in"};
    const bool escaped_twice = is_one_of(name, kShort) || (name.size() > 2 && (is_known_command(name) || is_function_name(name) || is_greek_letter(name)));
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
        "frac", "dfrac", "tfrac", "cdot", "times", "left", "right", "infty", "cup", "cap", "circ", "leq", "geq", "neq", "begin", "end",
        "pm", "binom", "sqrt", "approx", "overline", "quad"};
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
    if (is_one_of(std::string_view(name), kInvisible)) {
      space_ = true;
    } else if (name == "left" || name == "right") {
      skip_spaces();
      if (peek() == '.') ++at_;
    } else if (name == "hspace" || name == "vspace" || name == "phantom" || name == "label" || name == "tag" || name == "color") {
      skip_group();
    } else if (is_one_of(std::string_view(name), kTexts)) {
      lex_text();
    } else if (is_one_of(std::string_view(name), kRomans)) {
      lex_roman();
    } else if (is_one_of(std::string_view(name), kStyles)) {
      if (peek() == '*') ++at_;
    } else if (is_one_of(std::string_view(name), kAccents) || name == "dot" || name == "ddot") {
      lex_accent(name);
    } else if (name == "begin" || name == "end") {
      skip_group_open();
      push(Type::kCommand, name + ":" + trim(braced(text_, at_)));
    } else if (name == "lbrace" || name == "rbrace") {
      depth_ = std::max(0, depth_ + (name == "lbrace" ? 1 : -1));
      push(Type::kPunct, name == "lbrace" ? "\\{" : "\\}");
    } else if (name == "prime") {
      push(Type::kPunct, "'");
    } else if (name == "mid" || name == "vert" || name == "lvert" || name == "rvert" || name == "Vert" || name == "lVert" || name == "rVert") {
      push(Type::kPunct, "|");
    } else if (name == "colon") {
      push(Type::kPunct, ":");
    } else if (is_greek_letter(name)) {
      push(Type::kSymbol, name);
    } else {
      push(Type::kCommand, name);
    }
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

  // Words stay words; a text without letters, such as \text{13}, is mathematics.
  void lex_text() {
    skip_spaces();
    if (peek() != '{') return;
    const size_t open = at_;
    ++at_;
    const std::string body = trim(braced(text_, at_));
    if (body.empty()) {
      space_ = true;
    } else if (has_letter(body) && body.find(',') != std::string::npos && body.find(',') + 1 < body.size() && body[0] != ',') {
      for (size_t from = 0; from <= body.size();) {  // \text{B, E, G} is a list
        const size_t comma = std::min(body.find(',', from), body.size());
        const std::string part = trim(std::string_view(body).substr(from, comma - from));
        if (!part.empty()) push(Type::kText, part);
        if (comma < body.size()) push(Type::kPunct, ",");
        from = comma + 1;
      }
    } else if (is_function_name(body) && body.size() > 2 && !find_unit(body)) {
      push(Type::kCommand, body);  // \\text{cis} 60
    } else if (has_letter(body)) {
      push(Type::kText, body);
    } else if (std::none_of(body.begin(), body.end(), is_digit)) {
      for (const char c : body) {  // \text{, }
        if (c == ',' || c == ';') push(Type::kPunct, std::string(1, c));
      }
      space_ = true;
    } else {
      at_ = open;
    }
  }

  // \mathrm{e} and \mathrm{58} are mathematics, \mathrm{cm} is a word; \mathrm{m} is a unit behind a number.
  void lex_roman() {
    skip_spaces();
    if (peek() != '{') return;
    const size_t open = at_;
    ++at_;
    const std::string raw(braced(text_, at_));
    std::string body;
    for (const char c : raw) {
      if (!is_space(c) && c != '~') body += c;
    }
    const bool letters = !body.empty() && std::all_of(body.begin(), body.end(), is_letter);
    if (letters && is_function_name(body)) {
      push(Type::kCommand, body);
    } else if (letters && (body.size() > 1 || (after_value() && body != "e" && body != "i" && body != "d"))) {
      push(Type::kText, trim(raw));
    } else if (after_value() && has_letter(body) && (find_unit(body) || is_unit_formula(raw))) {
      push(Type::kText, trim(raw));
    } else {
      at_ = open;
    }
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
    if (digits) throw ParseError("an accent over digits");
    std::string key = name + " ";
    for (const char c : body) {
      if (is_letter(c) || is_digit(c)) key += c;
    }
    push(Type::kSymbol, key);
  }

  void lex_word() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_letter(text_[at_])) ++at_;
    const auto word = text_.substr(begin, at_ - begin);
    if ((word == "np" || word == "math" || word == "numpy") && peek() == '.' && is_letter(peek(1))) {  // np.arcsin(...)
      ++at_;
      return;
    }
    push_word(word);
  }

  void push_word(std::string_view word) {
    if (word.size() == 1) {
      push(Type::kSymbol, std::string(word));
      return;
    }
    const std::string low = lower(word);
    const bool meaning = is_function_name(word) || low == "and" || low == "or" || low == "pi" || low == "infinity" ||
                         low == "infty" || low == "inf" || low == "in" || low == "union" || low == "percent" || low == "pct" || low == "percentage" ||
                         low == "degrees" || low == "degree" || low == "mod";
    const bool unit = after_value() && find_unit(word).has_value();
    if (meaning || unit || (word.size() > 3 && !ascending(word) && !splits(word))) {
      push(Type::kWord, std::string(word));
      return;
    }
    // sinx, pir: a known beginning and one or two letters.
    for (const std::string_view head : {"sin", "cos", "tan", "ln", "log", "pi"}) {
      if (word.size() > head.size() && word.size() <= head.size() + 2 && word.substr(0, head.size()) == head) {
        push(Type::kWord, std::string(head));
        push_word(word.substr(head.size()));
        return;
      }
    }
    for (const char c : word) push(Type::kSymbol, std::string(1, c));
  }

  static bool splits(std::string_view word) {
    for (const std::string_view head : {"sin", "cos", "tan", "ln", "log", "pi"}) {
      if (word.size() > head.size() && word.size() <= head.size() + 2 && word.substr(0, head.size()) == head) return true;
    }
    return false;
  }

  // Letters of other scripts are words, as a whole run.
  void lex_foreign() {
    const size_t begin = at_;
    while (at_ < text_.size() && (text_[at_] & 0x80) != 0) ++at_;
    push(Type::kText, std::string(text_.substr(begin, at_ - begin)));
  }

  std::string_view text_;
  LexOptions options_;
  size_t at_ = 0;
  int depth_ = 0;  // round and square brackets and sets; commas inside them separate
  bool space_ = false;
  bool lone_dollar_ = false;
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

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::vector<Token> lex(std::string_view text, const LexOptions& options) { return Lexer(text, options).run(); }

}  // namespace grpo::reward
