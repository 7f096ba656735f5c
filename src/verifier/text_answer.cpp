#include "verifier/text_answer.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "verifier/budget.h"
#include "verifier/char_class.h"
#include "verifier/lexer.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

constexpr std::array<std::string_view, 24> kDropped = {
    "text",   "textbf",       "textit", "textrm", "textnormal", "mbox",   "mathrm",       "mathbf",
    "mathit", "operatorname", "boxed",  "fbox",   "left",       "right",  "displaystyle", "quad",
    "qquad",  "big",          "Big",    "rm",     "bf",         "mathsf", "texttt",       "emph"};

bool is_dropped(std::string_view name) { return std::find(kDropped.begin(), kDropped.end(), name) != kDropped.end(); }

std::string_view command_name(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && is_letter(text[end])) ++end;
  return text.substr(at + 1, end - at - 1);
}

void add_space(std::string& out) {
  if (!out.empty() && out.back() != ' ') out += ' ';
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    if (is_letter(c) || is_digit(c) || (c & 0x80) != 0) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, ""));
    }
  }
  return words;
}

}  // namespace

bool is_capitals(std::string_view word) {
  static constexpr std::string_view kWords[] = {"YES", "NO", "TRUE", "FALSE", "EVEN", "ODD", "NONE"};
  return std::all_of(word.begin(), word.end(), is_upper) &&
         std::find(std::begin(kWords), std::end(kWords), word) == std::end(kWords);
}

namespace {

bool all_digits(const std::string& word) { return !word.empty() && std::all_of(word.begin(), word.end(), is_digit); }

struct Time {
  int hour = 0;
  int minute = 0;
  int second = 0;
  bool has_seconds = false;
  bool has_half = false;      // a.m. or p.m. is given
  bool spelled = false;       // "8:05": the minutes have two digits
  bool leading_zero = false;  // "8:05": the minutes begin with 0
};

// With `hours`, a number from 1 to 12 is a time, too.
std::optional<Time> parse_time(std::string_view latex, bool hours = false) {
  std::string text = lower(plain_text(latex));
  std::string half;
  std::string compact;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool point = text[i] == '.' && i > 0 && is_letter(text[i - 1]);  // of "p.m."
    if (text[i] != ' ' && text[i] != ',' && !point) compact += text[i];
  }
  if (compact == "noon") compact = "12:00pm";
  if (compact == "midnight") compact = "12:00am";
  for (const std::string_view tail : {"am", "pm"}) {
    if (compact.ends_with(tail)) half = tail;
  }
  if (!half.empty()) compact.resize(compact.size() - 2);
  std::vector<int> parts;
  std::vector<size_t> lengths;
  std::string digits;
  for (const char c : compact + ":") {
    if (is_digit(c)) {
      digits += c;
    } else if (c == ':' && !digits.empty() && digits.size() <= 2) {
      parts.push_back(std::stoi(digits));
      lengths.push_back(digits.size());
      digits.clear();
    } else {
      return std::nullopt;
    }
  }
  const bool hour = hours && parts.size() == 1 && parts[0] > 0 && parts[0] <= 12;
  if (parts.empty() || parts.size() > 3 || (parts.size() == 1 && half.empty() && !hour)) return std::nullopt;
  Time time{.hour = parts[0],
            .minute = parts.size() > 1 ? parts[1] : 0,
            .second = parts.size() > 2 ? parts[2] : 0,
            .has_seconds = parts.size() > 2,
            .has_half = !half.empty()};
  time.spelled = parts.size() > 1 && lengths[1] == 2;
  time.leading_zero = time.spelled && parts[1] < 10;
  if (time.hour > 24 || time.minute > 59 || time.second > 59 || (time.has_half && (time.hour > 12 || time.hour == 0)))
    return std::nullopt;
  if (time.has_half) time.hour = time.hour % 12 + (half == "pm" ? 12 : 0);
  return time;
}

struct Date {
  int month = 0;
  int day = 0;
  int year = 0;
};

std::optional<Date> parse_date(std::string_view latex) {
  static constexpr std::string_view kMonths[] = {"january", "february", "march",     "april",   "may",      "june",
                                                 "july",    "august",   "september", "october", "november", "december"};
  const std::string plain = plain_text(latex);
  if (plain.find_first_of("-+*/=<>!^") != std::string::npos) return std::nullopt;
  const auto words = words_of(lower(plain));
  if (words.size() < 2 || words.size() > 5) return std::nullopt;
  Date date;
  for (std::string word : words) {
    for (const std::string_view tail : {"st", "nd", "rd", "th"}) {
      if (word.size() > 2 && is_digit(word[0]) && word.ends_with(tail)) word.resize(word.size() - 2);
    }
    const auto month = std::find_if(std::begin(kMonths), std::end(kMonths), [&](std::string_view m) {
      return word == m || (word.size() >= 3 && word == m.substr(0, 3));
    });
    if (month != std::end(kMonths)) {
      if (date.month != 0) return std::nullopt;
      date.month = static_cast<int>(month - std::begin(kMonths)) + 1;
    } else if (all_digits(word) && word.size() <= 2 && date.day == 0) {
      date.day = std::stoi(word);
    } else if (all_digits(word) && word.size() == 4 && date.year == 0) {
      date.year = std::stoi(word);
    } else if (word != "of" && word != "the" && word != "on") {
      return std::nullopt;
    }
  }
  if (date.month == 0 || date.day == 0) return std::nullopt;
  return date;
}

}  // namespace

std::string plain_text(std::string_view latex) {
  std::string out;
  for (size_t i = 0; i < latex.size(); ++i) {
    const char c = latex[i];
    if (c == '\\' && i + 1 < latex.size() && is_letter(latex[i + 1])) {
      const auto name = command_name(latex, i);
      if (!is_dropped(name)) out.append("\\").append(name);
      if (name == "quad" || name == "qquad") add_space(out);
      i += name.size();
    } else if (c == '\\' && i + 1 < latex.size()) {
      ++i;
      if (std::string_view("$%{}#_&'").find(latex[i]) != std::string_view::npos)
        out += latex[i];
      else if (latex[i] != '!')
        add_space(out);
    } else if (c == '{' || c == '}' || c == '$') {
      continue;
    } else if (is_space(c) || c == '~') {
      add_space(out);
    } else {
      out += c;
    }
  }
  return trim(out);
}

namespace {

// The usual one of several commands that print alike.
std::string_view usual_name(std::string_view name) {
  if (name == "dfrac" || name == "tfrac" || name == "cfrac") return "frac";
  if (name == "implies" || name == "Longrightarrow") return "Rightarrow";
  return name == "iff" || name == "Longleftrightarrow" ? "Leftrightarrow" : name;
}

}  // namespace

std::string spelling_key(std::string_view latex) {
  std::string out;
  bool space = false;
  for (size_t i = 0; i < latex.size(); ++i) {
    const char c = latex[i];
    if (is_space(c) || c == '~') {
      space = true;
      continue;
    }
    if (c == '$') continue;
    if (c == '\\' && i + 1 < latex.size()) {
      const char next = latex[i + 1];
      if (next == ',' || next == ';' || next == ':' || next == ' ' || next == '!') {
        space = space || next != '!';
        ++i;
        continue;
      }
      if (is_letter(next)) {
        const auto name = command_name(latex, i);
        i += name.size();
        if (name == "left" || name == "right" || name == "displaystyle" || name == "quad") {
          space = true;
          continue;
        }
        out += "\\";
        out += usual_name(name);
        // The space keeps the name of the command apart from a letter behind it.
        if (i + 1 < latex.size() && (is_space(latex[i + 1]))) out += ' ';
        space = false;
        continue;
      }
      out += c;
      out += next;
      ++i;
      continue;
    }
    // "1 1/2" is not "11/2".
    if (space && !out.empty() && is_digit(c) && (is_digit(out.back()) || out.back() == '.')) out += ' ';
    space = false;
    out += c;
  }
  while (!out.empty() && (out.back() == '.' || out.back() == ' ')) out.pop_back();
  return out;
}

namespace {

// The position behind the bound of an integral at `at`, which is a group, a command or one sign.
size_t bound_end(std::string_view key, size_t at) {
  if (at >= key.size()) return at;
  if (key[at] == '\\') return at + std::max<size_t>(2, 1 + command_name(key, at).size());
  if (key[at] != '{') return at + 1;
  try {
    braced(key, ++at);
    return at;
  } catch (const ParseError&) {
    return key.size();
  }
}

// The text with \x01 in place of the variable `letter`; letters of commands stay.
std::string renamed(std::string_view text, char letter) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t length = text[i] == '\\' ? 1 + command_name(text, i).size() : 1;
    out += length == 1 && text[i] == letter ? std::string(1, '\x01') : std::string(text.substr(i, length));
    i += length - 1;
  }
  return out;
}

}  // namespace

std::string with_bound_variable(const std::string& spelling) {
  if (spelling.find("\\int") == std::string::npos) return spelling;
  std::string key;  // the spelling without spaces and without the braces round a single sign
  for (size_t i = 0; i < spelling.size(); ++i) {
    const bool script = i > 0 && (spelling[i - 1] == '_' || spelling[i - 1] == '^');
    const bool single = script && spelling[i] == '{' && i + 2 < spelling.size() && spelling[i + 2] == '}';
    if (single) ++i;
    if (spelling[i] != ' ' ||
        (i > 0 && is_letter(spelling[i - 1]) && i + 1 < spelling.size() && is_letter(spelling[i + 1])))
      key += spelling[i];
    if (single) ++i;
  }
  const size_t begin = key.find("\\int");
  const size_t size = key.size();
  if (begin == std::string::npos || key.find("\\int", begin + 1) != std::string::npos || size < begin + 9) return key;
  const char letter = key[size - 1];
  if (!is_letter(letter) || key[size - 2] != 'd') return key;
  size_t at = begin + 4;
  bool bounded = false;
  while (at < size && (key[at] == '_' || key[at] == '^' || key[at] == ' ')) {
    bounded = bounded || key[at] == '_';
    at = key[at] == ' ' ? at + 1 : bound_end(key, at + 1);
  }
  const std::string bounds = key.substr(begin, std::min(at, size) - begin);
  if (!bounded || at >= size || renamed(bounds, letter) != bounds) return key;
  return key.substr(0, at) + renamed(std::string_view(key).substr(at), letter);
}

namespace {

bool is_word_token(const Token& token) { return token.type == Token::Type::kText || token.type == Token::Type::kWord; }

// The word in lower case, unless its case counts: capitals may name points or choices (ABC), and one or two letters or
// a short unit may be symbols (mg, Mg).
std::string folded(const std::string& word) {
  return is_capitals(word) || word.size() < 3 || (word.size() < 4 && find_unit(word)) ? word : lower(word);
}

}  // namespace

std::string text_key(std::string_view latex) {
  std::string out;
  bool words_only = true;
  const auto tokens = lex(latex);
  const auto says_little = [](const Token& token) {
    return token.is_punct(",") || token.is_punct(".") || token.is_punct(";") || token.is_punct("'");
  };
  for (const Token& token : tokens)
    words_only = words_only && (is_word_token(token) || says_little(token) || token.type == Token::Type::kEnd);
  for (const Token& token : tokens) {
    if (token.type == Token::Type::kEnd || (words_only && says_little(token))) continue;
    const bool number = token.type == Token::Type::kNumber;
    const std::string text = number ? token.number.to_string() : is_word_token(token) ? folded(token.text) : token.text;
    if (out.empty() && (text == "the" || text == "a" || text == "an")) continue;
    out += (out.empty() ? "" : " ") + text;
  }
  while (out.ends_with(" .") || out.ends_with(" ,")) out.resize(out.size() - 2);
  return out;
}

std::optional<bool> same_time(std::string_view gold, std::string_view answer) {
  auto left = parse_time(gold);
  auto right = parse_time(answer);
  if (left && left->has_half && !right) right = parse_time(answer, true);  // 4 for 4 p.m.
  if (right && right->has_half && !left) left = parse_time(gold, true);
  if (!left || !right) return std::nullopt;
  // Without a.m. and p.m. both may be ratios. The same numbers are equal as times and as ratios; different ones are
  // left to the comparison of ratios, unless minutes with a leading zero show that they are times.
  if (!left->has_half && !right->has_half) {
    const bool same = left->hour == right->hour && left->minute == right->minute && left->second == right->second;
    const bool clock = left->leading_zero || right->leading_zero;
    if (!clock && left->has_seconds != right->has_seconds) return std::nullopt;  // 3:4 and 3:4:0 are ratios
    if (clock && left->spelled != right->spelled) return false;                  // 2:07 is no 2:7
    return same    ? std::optional<bool>(true)
           : clock ? std::optional<bool>(false)
                   : std::nullopt;  // 1:10 and 2:20 are ratios too
  }
  if (left->has_half != right->has_half) {
    Time& bare = left->has_half ? *right : *left;
    const Time& full = left->has_half ? *left : *right;
    if (bare.hour <= 12 && bare.hour % 12 == full.hour % 12) bare.hour = full.hour;  // a missing a.m. is accepted
  }
  return left->hour == right->hour && left->minute == right->minute && left->second == right->second;
}

bool is_clock_time(std::string_view latex) {
  const auto time = parse_time(latex);
  return time && latex.find(':') != std::string_view::npos && (time->has_half || time->leading_zero);
}

std::optional<bool> same_date(std::string_view gold, std::string_view answer) {
  const auto left = parse_date(gold);
  const auto right = parse_date(answer);
  if (!left || !right) return std::nullopt;
  const bool years = left->year == right->year || left->year == 0 || right->year == 0;
  return left->month == right->month && left->day == right->day && years;
}

bool says_infinitely_many(std::string_view latex) {
  static constexpr std::string_view kPhrases[] = {"infinite",
                                                  "infinity",
                                                  "infinitely many",
                                                  "infinitely many solutions",
                                                  "there are infinitely many solutions",
                                                  "there are infinitely many",
                                                  "infinite solutions",
                                                  "an infinite number",
                                                  "an infinite number of solutions",
                                                  "infinite number of solutions"};
  if (latex == "\\infty") return true;
  const std::string plain = plain_text(latex);
  if (!std::all_of(plain.begin(), plain.end(), [](char c) { return is_letter(c) || c == ' ' || c == '.'; }))
    return false;
  std::string key;
  for (const auto& word : words_of(lower(plain))) key += (key.empty() ? "" : " ") + word;
  return std::find(std::begin(kPhrases), std::end(kPhrases), key) != std::end(kPhrases);
}

bool says_nothing_exists(std::string_view latex) {
  static constexpr std::string_view kPhrases[] = {"no solution",
                                                  "no solutions",
                                                  "no real solution",
                                                  "no real solutions",
                                                  "none",
                                                  "does not exist",
                                                  "dne",
                                                  "empty set",
                                                  "emptyset",
                                                  "varnothing",
                                                  "undefined",
                                                  "no such number exists",
                                                  "there is no solution",
                                                  "there are no solutions",
                                                  "no answer",
                                                  "not defined",
                                                  "empty"};
  const std::string plain = plain_text(latex);
  if (plain.find('{') != std::string::npos || plain.find('[') != std::string::npos)
    return plain == "{}" || plain == "{ }" || plain == "[]";  // Python prints an empty list
  std::string key;
  if (std::any_of(plain.begin(), plain.end(), [](char c) { return c == '-' || c == '+' || is_digit(c); })) return false;
  for (const auto& word : words_of(lower(plain))) key += (key.empty() ? "" : " ") + word;
  return std::find(std::begin(kPhrases), std::end(kPhrases), key) != std::end(kPhrases);
}

}  // namespace grpo::verifier
