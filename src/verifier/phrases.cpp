#include "verifier/phrases.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <string_view>

#include "verifier/budget.h"
#include "verifier/char_class.h"
#include "verifier/number_words.h"
#include "verifier/phrase_rules.h"
#include "verifier/text_answer.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

using Type = Token::Type;
using Tokens = std::vector<Token>;

bool is_any_word(const Token& token) { return token.type == Type::kText || token.type == Type::kWord; }

bool ends_value(const Token& token) {
  return token.type == Type::kNumber || token.type == Type::kSymbol || token.type == Type::kText ||
         token.is_punct(")") || token.is_punct("}") || token.is_punct("]") || token.is_punct("!") ||
         token.is(Type::kCommand, "pi");
}

bool starts_value(const Token& token) {
  if (is_any_word(token) && token.text.size() > 1) {
    static constexpr std::string_view kValues[] = {"pi",     "half", "negative", "minus",
                                                   "square", "cube", "infinity", "about"};
    return number_word(token.text) || is_function_name(token.text) || is_one_of(lower(token.text), kValues);
  }
  if (token.type == Type::kPunct)
    return token.text == "(" || token.text == "{" || token.text == "[" || token.text == "\\{" || token.text == "-" ||
           token.text == "|";
  return token.type != Type::kEnd && !token.is(Type::kCommand, "cdot");
}

// The number of tokens that spell the phrase at `at`, or 0.
size_t match(const Tokens& tokens, size_t at, std::string_view phrase) {
  size_t count = 0;
  for (size_t begin = 0; begin <= phrase.size(); ++count) {
    const size_t end = std::min(phrase.find(' ', begin), phrase.size());
    if (at + count >= tokens.size() || !is_any_word(tokens[at + count]) ||
        lower(tokens[at + count].text) != phrase.substr(begin, end - begin))
      return 0;
    begin = end + 1;
  }
  return count;
}

// Whether the value that ends at `at` is a single token, a bracket or a unit. Only then is it clear what a word behind
// it means: "x+1 squared" could be x + 1^2 or (x + 1)^2.
bool stands_alone(const Tokens& tokens, size_t at) {
  return at == 0 || tokens[at].is_punct(")") || tokens[at].type == Type::kText || tokens[at - 1].is_punct("=") ||
         (tokens[at - 1].is_punct("-") && at == 1);
}

// Whether the value that begins at `at` is in brackets or no sum. Only then is it clear how far a word before it
// reaches: "the square root of 1 + i" could be \sqrt{1} + i or \sqrt{1 + i}.
bool nothing_added(const Tokens& tokens, size_t at) {
  for (size_t i = at + 1; i < tokens.size() && !tokens[i].is_punct("=") && !tokens[i].is_punct(","); ++i) {
    static constexpr std::string_view kSigns[] = {"+",  "-",   "<",  ">",   "<=", ">=", "pm", "mp",
                                                  "le", "leq", "ge", "geq", "lt", "gt", "ne", "neq"};
    const bool sign = tokens[i].type == Type::kPunct || tokens[i].type == Type::kCommand;
    if (sign && is_one_of(tokens[i].text, kSigns)) return tokens[at].is_punct("(") || tokens[at].is_punct("{");
  }
  return true;
}

// Likewise: "the square root of 1/5" could be \sqrt{1}/5 or \sqrt{1/5}.
bool nothing_divided(const Tokens& tokens, size_t at) {
  for (size_t i = at + 1; i < tokens.size() && !tokens[i].is_punct("=") && !tokens[i].is_punct(","); ++i) {
    if (tokens[i].is_punct("/")) return tokens[at].is_punct("(") || tokens[at].is_punct("{");
  }
  return true;
}

bool fits(const Tokens& tokens, size_t at, size_t count, Place place) {
  const bool left = at > 0 && ends_value(tokens[at - 1]);
  const bool right = at + count < tokens.size() && starts_value(tokens[at + count]);
  switch (place) {
    case Place::kAnywhere:
      return true;
    case Place::kStart:
      return at == 0 || !left;
    case Place::kBehindValue:
      return left;
    case Place::kBehindOne:
      return left && stands_alone(tokens, at - 1);
    case Place::kBeforeValue:
      return right;
    case Place::kBeforePoint:
      return (at == 0 || !left) && at + count < tokens.size() && tokens[at + count].type != Type::kNumber &&
             !number_word(tokens[at + count].text);
    case Place::kBeforeOne:
      return right && nothing_added(tokens, at + count);
    case Place::kBeforeFactor:
      return right && nothing_added(tokens, at + count) && nothing_divided(tokens, at + count);
    case Place::kBetween:
      return left && right;
    case Place::kWhole:
      return left && right && at == 1 && tokens[0].type == Type::kNumber &&
             at + count + 2 == tokens.size();  // "3 out of 4" and no more
  }
  return false;
}

void append_latex(Tokens& out, std::string_view latex) {
  if (latex.empty()) return;
  Tokens extra = lex(latex);
  extra.pop_back();
  std::move(extra.begin(), extra.end(), std::back_inserter(out));
}

Token number_token(const Rational& value) {
  Token token;
  token.type = Type::kNumber;
  token.number = value;
  token.text = value.to_string();
  return token;
}

// Whether a number word continues the number that the words before it spell: five behind twenty or a hundred.
bool continues_number(const Rational& group, const Rational& value) {
  if (!value.is_integer() || !(value < Rational(100))) return false;
  return group.is_zero() || Rational(99) < group || (Rational(19) < group && value < Rational(10));
}

// Reads the number that words spell, "two hundred and thirty-one thousand".
class SpelledNumber {
 public:
  SpelledNumber(const Tokens& tokens, size_t at) : tokens_(tokens), at_(at) {}

  // How many words the number takes; 0 when it is none or may be read in two ways.
  size_t read() {
    while (!ambiguous_ && (add_value() || add_scale() || skip_and())) {
    }
    return ambiguous_ ? 0 : count_;
  }
  Rational value() const { return total_ + group_; }

 private:
  std::string_view word(size_t ahead) const {
    if (at_ + ahead >= tokens_.size() || !is_word(tokens_[at_ + ahead])) return {};
    return tokens_[at_ + ahead].text;
  }

  bool add_value() {
    const auto value = number_word(word(count_));
    if (!value || (count_ > 0 && !continues_number(group_, *value))) return false;
    group_ = group_ + *value;
    ++count_;
    return true;
  }

  bool add_scale() {
    const auto scale = scale_word(word(count_));
    if (group_.is_zero() || !scale || !scale->is_integer() || *scale < Rational(100)) return false;
    const bool thousands = Rational(999) < *scale;
    // "two thousand three million", "two hundred and three hundred", "one thousand and five hundred"
    ambiguous_ = (joined_ && !total_.is_zero()) ||
                 (thousands ? !last_scale_.is_zero() && !(*scale < last_scale_) : Rational(99) < group_);
    group_ = group_ * *scale;
    if (thousands) {
      last_scale_ = *scale;
      total_ = total_ + group_;
      group_ = Rational(0);
    }
    ++count_;
    return true;
  }

  // The "and" of "one hundred and five", which "one hundred and five sixths" has not.
  bool skip_and() {
    if (count_ == 0 || lower(word(count_)) != "and" || !scale_word(word(count_ - 1))) return false;
    const auto value = number_word(word(count_ + 1));
    const auto behind = scale_word(word(count_ + 2));
    if (!value || !value->is_integer() || value->is_zero() || (behind && !behind->is_integer())) return false;
    joined_ = true;
    ++count_;
    return true;
  }

  const Tokens& tokens_;
  size_t at_;
  size_t count_ = 0;
  Rational total_;
  Rational group_;
  Rational last_scale_;
  bool joined_ = false;
  bool ambiguous_ = false;
};

// Appends the fraction of "two and three quarters", which stands at `at` behind an integer, as \frac, so that the two
// are a mixed number. Returns how many words it took, 0 for none.
size_t take_and_fraction(const Tokens& tokens, size_t at, Tokens& out) {
  if (match(tokens, at, "and") == 0 || at + 1 >= tokens.size() || !is_word(tokens[at + 1])) return 0;
  auto value = number_word(tokens[at + 1].text);
  size_t count = 2;
  if (value && value->is_integer() && at + 2 < tokens.size() && is_word(tokens[at + 2])) {
    const auto part = scale_word(tokens[at + 2].text);
    if (!part || part->is_integer() || may_be_ordinal(*value, tokens[at + 2].text)) return 0;
    value = *value * *part;
    count = 3;
  }
  if (!value || value->is_integer() || !(*value < Rational(1))) return 0;
  Rational top;
  Rational bottom;
  fmpz_set(fmpq_numref(top.get()), value->num());
  fmpz_set(fmpq_numref(bottom.get()), value->den());
  append_latex(out, "\\frac{" + top.to_string() + "}{" + bottom.to_string() + "}");
  return count;
}

// Appends the number that the words at `at` spell and returns how many words it took, 0 for none. "one hundred
// twenty-five" is one number; "two thirds" stays a number and a part.
size_t take_number_words(const Tokens& tokens, size_t at, Tokens& out) {
  SpelledNumber number(tokens, at);
  const size_t count = number.read();
  // "two lines" are not the number two: only parts, scales, units and words of mathematics may follow.
  const size_t next = at + count;
  const bool noun = count > 0 && next < tokens.size() && is_word(tokens[next]) && !scale_word(tokens[next].text) &&
                    !find_unit(tokens[next].text) && parse_unit(tokens[next].text);
  if (count == 0 || noun) return 0;
  out.push_back(number_token(number.value()));
  return number.value().is_integer() && !number.value().is_zero() ? count + take_and_fraction(tokens, next, out)
                                                                  : count;
}

// Whether "and a half" stands behind an integer. They are a mixed number, so that a sign holds for both: "negative one
// and a half" is -3/2.
bool makes_mixed_number(const Rule& rule, const Tokens& out) {
  if (!rule.latex.starts_with("+\\frac") || out.empty() || out.back().type != Type::kNumber) return false;
  if (!out.back().number.is_integer() || out.back().significant_digits != 0) return false;
  if (out.size() == 1) return true;
  const Token& before = out[out.size() - 2];
  return before.is_punct("-") || before.is_punct("+") || before.is_punct("=");
}

template <size_t N>
size_t apply(const Rule (&rules)[N], const Tokens& tokens, size_t at, Tokens& out) {
  for (const Rule& rule : rules) {
    const size_t count = match(tokens, at, rule.words);
    if (count == 0 || !fits(tokens, at, count, rule.place)) continue;
    append_latex(out, makes_mixed_number(rule, out) ? rule.latex.substr(1) : rule.latex);
    return count;
  }
  return 0;
}

// The length of a quantifier such as "all real numbers x such that" at `at`, or 0. It is dropped, since the condition
// behind it says which numbers are meant.
size_t quantifier_at(const Tokens& tokens, size_t at) {
  for (const std::string_view words : {"all real numbers", "all real values", "all real values of", "all values of",
                                       "all numbers", "real numbers", "all reals"}) {
    const size_t count = match(tokens, at, words);
    if (count == 0 || at + count + 1 >= tokens.size() || tokens[at + count].type != Type::kSymbol) continue;
    const size_t behind = at + count + 1;
    for (const std::string_view link : {"such that", "with", "where", "satisfying", "for which"}) {
      if (const size_t length = match(tokens, behind, link)) return behind + length - at;
    }
  }
  return 0;
}

void rewrite(Tokens& tokens) {
  Tokens out;
  for (size_t at = 0; at < tokens.size();) {
    size_t count = 0;
    if (is_any_word(tokens[at])) {
      count = quantifier_at(tokens, at);
      if (count == 0) count = take_number_words(tokens, at, out);
      if (count == 0) count = apply(kRules, tokens, at, out);
      if (count == 0 && (out.empty() || !ends_value(out.back()))) count = apply(kSilent, tokens, at, out);
    }
    if (count == 0) out.push_back(tokens[at++]);
    at += count;
  }
  tokens = std::move(out);
}

// "\mathbb{R} except 4" becomes \mathbb{R}\setminus\{4\}, with everything behind the word in the braces.
void read_exceptions(Tokens& tokens) {
  for (size_t i = 1; i + 1 < tokens.size(); ++i) {
    const bool word = is_word(tokens[i]) && lower(tokens[i].text) == "except";
    if (!word || !tokens[i - 1].is_punct("}")) continue;
    const bool named = i + 2 < tokens.size() && tokens[i + 1].type == Type::kSymbol && tokens[i + 2].is_punct("=");
    Tokens out(tokens.begin(), tokens.begin() + static_cast<long>(i));
    append_latex(out, "\\setminus\\{");
    out.insert(out.end(), tokens.begin() + static_cast<long>(i + (named ? 3 : 1)), tokens.end() - 1);
    append_latex(out, "\\}");
    out.push_back(tokens.back());
    tokens = std::move(out);
    return;
  }
}

void drop_tail(Tokens& tokens) {
  for (const auto tail : kTails) {
    const size_t words = static_cast<size_t>(std::count(tail.begin(), tail.end(), ' ')) + 1;
    if (tokens.size() < words + 2) continue;
    const size_t at = tokens.size() - 1 - words;
    if (match(tokens, at, tail) == words) tokens.erase(tokens.begin() + static_cast<long>(at), tokens.end() - 1);
  }
}

bool is_verb(const Token& token) {
  return is_any_word(token) &&
         (token.text == "is" || token.text == "are" || token.text == "was" || token.text == "were");
}

bool may_name(const Token& token) {
  if (is_any_word(token)) return !is_one_of(lower(token.text), kChanging) && !number_word(token.text);
  return token.type == Type::kSymbol ||
         (token.type == Type::kCommand && (token.text == "angle" || token.text == "triangle"));
}

// Turns a label with its mark, "Area of ABC =", "The value is" or "Final answer:", into one name and an equals sign, or
// drops it when all its words are generic. False when the answer begins with no label.
bool take_label(Tokens& tokens) {
  constexpr size_t kMaxLabel = 12;
  size_t end = 0;
  while (end < tokens.size() && end < kMaxLabel && !is_verb(tokens[end]) && may_name(tokens[end])) ++end;
  if (end == 0 || end + 2 > tokens.size() || !is_word(tokens[0])) return false;
  const Token& mark = tokens[end];
  if (!(mark.is_punct("=") || mark.is_punct(":") || is_verb(mark)) || tokens[end + 1].type == Type::kEnd) return false;
  std::string name;
  bool generic = true;
  for (size_t i = 0; i < end; ++i) {
    const std::string word =
        is_any_word(tokens[i]) && !is_capitals(tokens[i].text) ? lower(tokens[i].text) : tokens[i].text;
    generic = generic && is_one_of(word, kGeneric);
    if (word != "the") name += (name.empty() ? "" : " ") + word;
  }
  Token symbol;
  symbol.type = Type::kSymbol;
  symbol.text = name;
  Token equals;
  equals.type = Type::kPunct;
  equals.text = "=";
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<long>(end + 1));
  if (!generic) tokens.insert(tokens.begin(), {symbol, equals});
  return true;
}

// Puts the domain of "all integers n >= 3" behind the bound, "n >= 3 for all integers n", where it is a condition.
void move_domain(Tokens& tokens) {
  for (const std::string_view words : {"all integers", "all positive integers", "all natural numbers", "integers",
                                       "positive integers", "every integer", "any integer"}) {
    const size_t count = match(tokens, 0, words);
    if (count == 0 || count + 1 >= tokens.size() || tokens[count].type != Type::kSymbol) continue;
    static constexpr std::string_view kOrders[] = {"<", ">", "<=", ">=", "le", "leq", "ge", "geq", "lt", "gt"};
    if (!is_one_of(tokens[count + 1].text, kOrders)) continue;
    Tokens out(tokens.begin() + static_cast<long>(count), tokens.end() - 1);
    Token opener = tokens[0];
    opener.text = "for";
    out.push_back(opener);
    out.insert(out.end(), tokens.begin(), tokens.begin() + static_cast<long>(count) + 1);
    out.push_back(tokens.back());
    tokens = std::move(out);
    return;
  }
}

// Drops the brackets of "213 (base 5)" and "1/2 (or 0.5)".
void open_word_brackets(Tokens& tokens) {
  for (size_t i = 1; i + 3 < tokens.size(); ++i) {
    const bool word = tokens[i].is_punct("(") && is_word(tokens[i + 1]) &&
                      (lower(tokens[i + 1].text) == "base" || lower(tokens[i + 1].text) == "or");
    if (!word || !tokens[tokens.size() - 2].is_punct(")")) continue;
    tokens.erase(tokens.end() - 2);
    tokens.erase(tokens.begin() + static_cast<long>(i));
    return;
  }
}

// The number that the words behind `at` name, "five" or "one hundred and five", up to the closing bracket, where `end`
// stands then. nullopt when other words are among them.
std::optional<Rational> bracketed_words(const Tokens& tokens, size_t at, size_t& end) {
  std::string text;
  for (end = at; end < tokens.size() && is_any_word(tokens[end]) && end < at + 10; ++end)
    text += lower(tokens[end].text) + " ";
  if (end == at || end >= tokens.size() || !tokens[end].is_punct(")")) return std::nullopt;
  Rational sum(0);
  Rational group(0);
  for (size_t begin = 0; begin < text.size();) {
    const size_t stop = text.find(' ', begin);
    const auto word = std::string_view(text).substr(begin, stop - begin);
    begin = stop + 1;
    if (word == "and" || word.empty()) continue;
    const auto number = number_word(word);
    const auto scale = scale_word(word);
    if (!number && (!scale || !scale->is_integer())) return std::nullopt;
    if (number) {
      group = group + *number;
    } else if (*scale == Rational(100)) {
      group = group * *scale;
    } else {
      sum = sum + group * *scale;
      group = Rational(0);
    }
  }
  return sum + group;
}

// Drops the words of "5 (five)", which only say the number again, and refuses "5 (six)", which would be a product.
void drop_repeated_words(Tokens& tokens) {
  Tokens out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    out.push_back(std::move(tokens[i]));
    if (out.back().type != Type::kNumber || i + 3 >= tokens.size() || !tokens[i + 1].is_punct("(")) continue;
    size_t end = 0;
    const auto words = bracketed_words(tokens, i + 2, end);
    if (!words) continue;
    if (!(*words == out.back().number)) throw ParseError("a number and the words behind it differ");
    i = end;
  }
  tokens = std::move(out);
}

// Reads US\$12 as \$12.
void drop_country(Tokens& tokens) {
  if (tokens.size() > 2 && tokens[0].text == "U" && tokens[1].text == "S" && tokens[2].is(Type::kCommand, "dollar"))
    tokens.erase(tokens.begin(), tokens.begin() + 2);
}

// Reads the code of a currency in front of a number, USD 20 or Rs. 20, as its sign: \$20.
void read_currency_code(Tokens& tokens) {
  struct Code {
    std::string_view code;
    std::string_view command;
  };
  constexpr Code kCodes[] = {{"USD", "dollar"}, {"EUR", "euro"},  {"GBP", "pound"},
                             {"JPY", "yen"},    {"INR", "rupee"}, {"Rs", "rupee"}};
  for (const auto& [code, command] : kCodes) {
    std::string text;
    size_t end = 0;
    while (end < tokens.size() && text.size() < code.size() && tokens[end].type != Type::kEnd)
      text += tokens[end++].text;
    if (text != code || end >= tokens.size()) continue;
    if (tokens[end].is_punct(".")) ++end;
    if (end >= tokens.size() || tokens[end].type != Type::kNumber) continue;
    tokens.erase(tokens.begin() + 1, tokens.begin() + static_cast<long>(end));
    tokens[0].type = Type::kCommand;
    tokens[0].text = command;
    return;
  }
}

// Reads "x: 3, y: 4" as x = 3, y = 4. The space behind the colon tells it from a ratio.
void read_colons(Tokens& tokens) {
  for (size_t i = 0; i + 2 < tokens.size(); ++i) {
    const bool begins = i == 0 || tokens[i - 1].is_punct(",") || tokens[i - 1].is_punct(";");
    const bool label = begins && tokens[i].type == Type::kSymbol && tokens[i + 1].is_punct(":") &&
                       !tokens[i + 1].space_before && tokens[i + 2].space_before;
    if (label) tokens[i + 1].text = "=";
  }
}

// The length of "(b)", "b)", "Part (b):" at `at`, or 0.
size_t part_label(const Tokens& tokens, size_t at, std::string_view label) {
  size_t i = at;
  if (is_word(tokens[i]) && lower(tokens[i].text) == "part") ++i;
  const bool opened = tokens[i].is_punct("(");
  if (!opened && is_digit(label[0])) return 0;
  i += opened ? 1 : 0;
  std::string text;
  for (; i < tokens.size() && text.size() < label.size() && tokens[i].type != Type::kEnd; ++i) text += tokens[i].text;
  if (text != label || i >= tokens.size() || !tokens[i].is_punct(")")) return 0;
  ++i;
  const bool colon = i < tokens.size() && tokens[i].is_punct(":");
  return i + (colon ? 1 : 0) - at;
}

bool is_sign(const Token& token, std::string_view signs) {
  const bool times = token.is(Type::kCommand, "cdot") || token.is(Type::kCommand, "times");
  return times || (token.type == Type::kPunct && token.text.size() == 1 && signs.find(token.text) != std::string::npos);
}

// A label stands between values, not between the operands of a formula: (a)+(b).
bool separates_parts(const Tokens& tokens, size_t at, size_t length) {
  const Token& behind = tokens[at + length];
  const bool left = at == 0 || !is_sign(tokens[at - 1], "+-*/^=_([{<>|");
  return left && behind.type != Type::kEnd && !is_sign(behind, "+*/^=)_!,;(");
}

// "(a) 5 (b) 7" becomes the list 5, 7. There have to be at least two parts, labelled in the order of `labels`.
bool read_part_labels(Tokens& tokens, const std::array<std::string_view, 6>& labels) {
  Tokens out;
  size_t part = 0;
  for (size_t at = 0; at < tokens.size();) {
    const size_t length = part < labels.size() ? part_label(tokens, at, labels[part]) : 0;
    if (length == 0 || !separates_parts(tokens, at, length)) {
      if (part == 0) return false;
      out.push_back(tokens[at++]);
      continue;
    }
    if (!out.empty() && !out.back().is_punct(",") && !out.back().is_punct(";")) append_latex(out, ",");
    at += length;
    ++part;
  }
  if (part > 1) tokens = std::move(out);
  return part > 1;
}

bool read_part_labels(Tokens& tokens) {
  constexpr std::array<std::string_view, 6> kLetters = {"a", "b", "c", "d", "e", "f"};
  constexpr std::array<std::string_view, 6> kRoman = {"i", "ii", "iii", "iv", "v", "vi"};
  constexpr std::array<std::string_view, 6> kDigits = {"1", "2", "3", "4", "5", "6"};
  return read_part_labels(tokens, kLetters) || read_part_labels(tokens, kRoman) || read_part_labels(tokens, kDigits);
}

}  // namespace

bool is_word(const Token& token) { return is_any_word(token) && token.text.size() > 1; }

bool read_phrases(Tokens& tokens) {
  const bool parts = read_part_labels(tokens);
  read_colons(tokens);
  drop_country(tokens);
  read_currency_code(tokens);
  if (std::none_of(tokens.begin(), tokens.end(), is_any_word)) return parts;
  drop_repeated_words(tokens);
  move_domain(tokens);
  open_word_brackets(tokens);
  drop_tail(tokens);
  rewrite(tokens);
  read_exceptions(tokens);
  for (int i = 0; i < 3 && take_label(tokens); ++i) rewrite(tokens);
  return parts;
}

}  // namespace grpo::verifier
