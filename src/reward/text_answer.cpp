#include "reward/text_answer.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "reward/char_class.h"
#include "reward/lexer.h"
#include "reward/units.h"

namespace grpo::reward {
namespace {

constexpr std::array<std::string_view, 24> kDropped = {
    "text", "textbf", "textit", "textrm", "textnormal", "mbox", "mathrm", "mathbf", "mathit", "operatorname", "boxed", "fbox",
    "left", "right", "displaystyle", "quad", "qquad", "big", "Big", "rm", "bf", "mathsf", "texttt", "emph"};

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

bool all_digits(const std::string& word) { return !word.empty() && std::all_of(word.begin(), word.end(), is_digit); }

struct Time {
  int hour = 0;
  int minute = 0;
  int second = 0;
  bool has_half = false;  // a.m. or p.m. is given
  bool spelled = false;   // "8:05": two digits of minutes
};

std::optional<Time> parse_time(std::string_view latex) {
  std::string text = lower(plain_text(latex));
  std::string half;
  std::string compact;
  for (const char c : text) {
    if (c != ' ' && c != '.' && c != ',') compact += c;
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
  if (parts.empty() || parts.size() > 3 || (parts.size() == 1 && half.empty())) return std::nullopt;
  Time time{.hour = parts[0], .minute = parts.size() > 1 ? parts[1] : 0, .second = parts.size() > 2 ? parts[2] : 0, .has_half = !half.empty()};
  time.spelled = parts.size() > 1 && lengths[1] == 2;
  if (time.hour > 24 || time.minute > 59 || time.second > 59 || (time.has_half && (time.hour > 12 || time.hour == 0))) return std::nullopt;
  if (time.has_half) time.hour = time.hour % 12 + (half == "pm" ? 12 : 0);
  return time;
}

struct Date {
  int month = 0;
  int day = 0;
  int year = 0;
};

std::optional<Date> parse_date(std::string_view latex) {
  static constexpr std::string_view kMonths[] = {"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"};
  const auto words = words_of(lower(plain_text(latex)));
  if (words.size() < 2 || words.size() > 5) return std::nullopt;
  Date date;
  for (std::string word : words) {
    for (const std::string_view tail : {"st", "nd", "rd", "th"}) {
      if (word.size() > 2 && is_digit(word[0]) && word.ends_with(tail)) word.resize(word.size() - 2);
    }
    const auto month = std::find_if(std::begin(kMonths), std::end(kMonths), [&](std::string_view m) { return word == m || (word.size() >= 3 && word == m.substr(0, 3)); });
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
      if (latex[i] == '$' || latex[i] == '%' || latex[i] == '{' || latex[i] == '}') out += latex[i];
      else if (latex[i] != '!') add_space(out);
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
        out += name == "dfrac" || name == "tfrac" || name == "cfrac" ? "frac" : std::string(name);
        // A command ends where a letter would go on with it.
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

std::string word_key(std::string_view latex) {
  std::string out;
  for (const auto& word : words_of(lower(plain_text(latex)))) {
    if (out.empty() && (word == "the" || word == "a" || word == "an")) continue;
    out += (out.empty() ? "" : " ") + word;
  }
  return out;
}

bool is_wordy(std::string_view latex) {
  const std::string plain = plain_text(latex);
  for (const auto& word : words_of(plain)) {
    if ((word[0] & 0x80) != 0) return true;
    const bool letters = std::all_of(word.begin(), word.end(), is_letter);
    if (!letters || word.size() < 2) continue;
    if (plain.find("\\" + word) != std::string::npos) continue;
    if (!is_function_name(word) && !find_unit(word) && word != "and" && word != "or") return true;
  }
  return false;
}

std::optional<bool> same_time(std::string_view gold, std::string_view answer) {
  auto left = parse_time(gold);
  auto right = parse_time(answer);
  if (!left || !right) return std::nullopt;
  // Without a.m. or p.m. and without two digits of minutes, 7:3 is a ratio; and two bare pairs are compared as ratios
  // unless they are spelled like times.
  if (!left->has_half && !right->has_half && !(left->spelled && right->spelled)) return std::nullopt;
  if (left->has_half != right->has_half) {
    Time& bare = left->has_half ? *right : *left;
    const Time& full = left->has_half ? *left : *right;
    if (bare.hour <= 12 && bare.hour % 12 == full.hour % 12) bare.hour = full.hour;  // a missing a.m. is accepted
  }
  return left->hour == right->hour && left->minute == right->minute && left->second == right->second;
}

std::optional<bool> same_date(std::string_view gold, std::string_view answer) {
  const auto left = parse_date(gold);
  const auto right = parse_date(answer);
  if (!left || !right) return std::nullopt;
  const bool years = left->year == right->year || left->year == 0 || right->year == 0;
  return left->month == right->month && left->day == right->day && years;
}

bool says_nothing_exists(std::string_view latex) {
  static constexpr std::string_view kPhrases[] = {"no solution", "no solutions", "no real solution", "no real solutions", "none", "does not exist", "dne", "empty set", "emptyset",
                                                  "varnothing", "undefined", "no such number exists", "there is no solution", "there are no solutions", "no answer", "not defined", "empty"};
  const std::string plain = plain_text(latex);
  if (plain.find('{') != std::string::npos) return plain == "{}" || plain == "{ }";
  const std::string key = word_key(latex);
  return std::find(std::begin(kPhrases), std::end(kPhrases), key) != std::end(kPhrases);
}

namespace {

// Whether what follows "(x)" makes it a bracketed variable and no label: "(x)^3", "(a)-5", "(n)(n+1)". A capital and a
// space, "(C) -5", may also label a signed number or a bracket.
bool continues_formula(char letter, std::string_view rest) {
  if (rest.empty()) return false;
  const char upper = is_lower(letter) ? static_cast<char>(letter - 'a' + 'A') : letter;
  if (upper > 'J' || std::string_view("^_*/=<>!,|)'").find(rest[0]) != std::string_view::npos) return true;
  if (rest.starts_with("\\cdot") || rest.starts_with("\\times")) return true;
  const size_t first = rest.find_first_not_of(' ');
  const bool label = is_upper(letter) && first > 0;
  return !label && first != std::string_view::npos && std::string_view("+-([{\\").find(rest[first]) != std::string_view::npos;
}

}  // namespace

std::optional<Choice> parse_choice(std::string_view latex) {
  std::string text = plain_text(latex);
  Choice choice;
  const std::string low = lower(text);
  for (const std::string_view word : {"option ", "choice ", "answer "}) {
    if (!low.starts_with(word)) continue;
    text = trim(std::string_view(text).substr(word.size()));
    choice.marked = true;
  }
  if (!text.empty() && text[0] == '(') {
    if (text.size() < 3 || !is_letter(text[1]) || text[2] != ')') return std::nullopt;
    if (continues_formula(text[1], std::string_view(text).substr(3))) return std::nullopt;
    choice.letter = text[1];
    choice.marked = true;
    choice.rest = trim(std::string_view(text).substr(3));
  } else if (!text.empty() && is_upper(text[0])) {
    choice.letter = text[0];
    if (text.size() > 1) {
      const bool mark = text[1] == '.' || text[1] == ')' || text[1] == ':';
      if (!mark || text[0] > 'J' || (text.size() > 2 && text[1] == ':' && text[2] != ' ')) return std::nullopt;
      choice.marked = true;
      choice.rest = trim(std::string_view(text).substr(2));
    }
  } else {
    return std::nullopt;
  }
  if (is_lower(choice.letter)) choice.letter = static_cast<char>(choice.letter - 'a' + 'A');
  while (!choice.rest.empty() && (choice.rest[0] == ':' || choice.rest[0] == '.' || choice.rest[0] == ' ')) choice.rest.erase(0, 1);
  return choice;
}

}  // namespace grpo::reward
