#include <algorithm>

#include "verifier/change.h"
#include "verifier/char_class.h"
#include "verifier/denial.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"
#include "verifier/number_lexer.h"
#include "verifier/unicode.h"
#include "verifier/units.h"

// The value at the end of a prose text. The text is cut into runs of mathematics: digits, operators, brackets, single
// letters, functions; words and the punctuation of sentences separate them. The last run with a digit is the value,
// operators included.
namespace grpo::verifier {
namespace {

constexpr size_t kTail = 8000;  // bytes at the end of a text in which a value is looked for

struct Run {
  size_t begin = 0;
  size_t end = 0;
  bool digit = false;
  bool in_word = false;  // has a digit with letters behind it that are no unit, 8th, or is part of a name
};

// Whether a word behind a value is its unit. Units that are common words as well ("5 in all") do not count.
bool names_unit(std::string_view word) {
  constexpr std::string_view kWords[] = {"in", "as", "at", "am", "pm", "yd", "bit", "bar", "per"};
  return find_unit(word) && std::find(std::begin(kWords), std::end(kWords), word) == std::end(kWords);
}

// "5 million" is another number than 5.
bool names_scale(std::string_view word) {
  constexpr std::string_view kScales[] = {"hundred",  "thousand", "million", "billion",
                                          "trillion", "dozen",    "lakh",    "crore"};
  return std::find(std::begin(kScales), std::end(kScales), word) != std::end(kScales);
}

bool is_in(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

class Runs {
 public:
  explicit Runs(std::string_view text) : text_(text) {}

  Run last() {
    while (at_ < text_.size()) step();
    close(at_);
    return last_;
  }

 private:
  char peek(size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : ' '; }
  char before() const { return at_ > 0 ? text_[at_ - 1] : '\n'; }

  void close(size_t end) {
    if (open_.digit) {
      open_.end = end;
      last_ = open_;
    }
    inside_ = false;
    depth_ = 0;
  }

  void add(size_t length) {
    if (!inside_) open_ = {at_, at_, false, false};
    inside_ = true;
    at_ += length;
  }

  void part(size_t length) {
    close(at_);
    open_ = {};
    at_ += length;
  }

  void step() {
    const char c = text_[at_];
    if (is_digit(c)) {
      number();
    } else if (is_letter(c)) {
      letters();
    } else if ((c & 0x80) != 0) {
      foreign();
    } else if (c == '\\') {
      command();
    } else {
      sign(c);
    }
  }

  // H2O, AZYUK42: digits of a name are no value.
  void number() {
    size_t begin = at_;
    while (begin > 0 && is_letter(text_[begin - 1])) --begin;
    const bool glued = begin < at_ && !is_function_name(text_.substr(begin, at_ - begin));
    if (glued && open_.digit) open_.in_word = true;
    const size_t end = lex_number_text(text_, at_, true).end;
    add(end - at_ - (text_[end - 1] == '.' ? 1 : 0));  // the full stop of "5 + 1 = 6. A number ..."
    open_.digit = open_.digit || !glued;
  }

  void letters() {
    size_t end = at_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const auto word = text_.substr(at_, end - at_);
    const bool apostrophe = before() == '\'' || (at_ > 2 && text_.substr(at_ - 3, 3) == "’");
    if (apostrophe && (word == "s" || word == "re")) return part(word.size());  // "That's 18"
    const bool behind_digit = inside_ && is_digit(before());
    const bool letter = word.size() == 1 && word != "a" && word != "I" && word != "A";
    if (const size_t half = inside_ && open_.digit ? half_of_day() : 0; half > 0) return add(half);
    if (letter || is_function_name(word) || word == "pi") return add(word.size());
    if (inside_ && open_.digit && (names_unit(word) || names_scale(word))) return add(word.size());
    if (behind_digit && !find_unit(word)) open_.in_word = true;
    part(word.size());
  }

  // The length of the "p.m." of "4 p.m.", or 0.
  size_t half_of_day() const {
    const std::string low = lower(text_.substr(at_, 4));
    if (low == "a.m." || low == "p.m.") return 4;
    const bool plain = (low.starts_with("am") || low.starts_with("pm")) && !is_letter(peek(2));
    return plain && (is_digit(before()) || before() == ' ') ? 2 : 0;
  }

  void foreign() {
    size_t end = at_;
    const char32_t code = next_code_point(text_, end);
    const std::string latex = to_latex(text_.substr(at_, end - at_));
    const bool sign = code != 0x2014 && !latex.empty() && (latex[0] & 0x80) == 0 && !is_in(latex[0], " .,;:\"'!?");
    if (sign) return add(end - at_);
    part(end - at_);
  }

  // \pi and \sqrt belong to a run; \( and \] end one.
  void command() {
    size_t end = at_ + 1;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const bool bound = end == at_ + 1 && is_in(peek(1), "()[]\\");
    if (bound) return part(2);
    const auto name = text_.substr(at_ + 1, end - at_ - 1);
    if (name.starts_with("text") || name == "boxed" || name == "mathrm") return part(end - at_);
    add(std::min(std::max<size_t>(2, end - at_), text_.size() - at_));
  }

  void sign(char c) {
    const bool line_start = at_ == 0 || before() == '\n';
    const bool operand_follows =
        is_digit(peek(1)) || is_letter(peek(1)) || is_in(peek(1), " ([{\\.|$-") || (peek(1) & 0x80) != 0;
    if (c == '<' && (is_letter(peek(1)) || peek(1) == '/')) {  // a tag
      const size_t close = text_.find('>', at_);
      if (close != std::string_view::npos && close - at_ < 20) return part(close + 1 - at_);
    }
    if (c == ' ' || c == '$') return inside_ ? add(1) : void(++at_);
    if (is_in(c, "([{")) {
      add(1);
      ++depth_;
    } else if (is_in(c, ")]}")) {
      add(1);
      depth_ -= depth_ > 0 ? 1 : 0;
    } else if (c == '.' || c == ',') {
      const bool number = is_digit(peek(1)) && (is_digit(before()) || c == '.');
      return number || (c == ',' && depth_ > 0) ? add(1) : part(1);
    } else if (c == ':') {
      return is_digit(peek(1)) && is_digit(before()) ? add(1) : part(1);
    } else if (c == '*') {
      const bool markup = peek(1) == '*' || before() == '*' || (is_space(before()) != is_space(peek(1))) || line_start;
      return markup ? part(1) : add(1);
    } else if (c == '-' || c == '+') {
      const bool item = line_start && peek(1) == ' ';
      const bool hyphen = is_letter(before()) && is_letter(peek(1)) && at_ > 1 && is_letter(text_[at_ - 2]);
      return item || hyphen || !operand_follows ? part(1) : add(1);
    } else if (is_in(c, "/^_<>|%!=")) {
      add(1);
    } else {
      part(1);
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  Run open_;
  Run last_;
  bool inside_ = false;
  int depth_ = 0;
};

// The part of a run behind its last equals sign, without brackets that have no partner and signs that cannot stand at
// the ends of a value.
std::string_view tidied(std::string_view run) {
  const size_t equals = run.rfind('=');
  if (equals != std::string_view::npos) run = run.substr(equals + 1);
  for (bool moved = true; moved && !run.empty();) {
    run = trimmed(run);
    const auto count = [&](char c) { return std::count(run.begin(), run.end(), c); };
    moved = false;
    const char first = run.empty() ? ' ' : run.front();
    const char last = run.empty() ? ' ' : run.back();
    if ((first == '(' && count('(') > count(')')) || (first == '[' && count('[') > count(']')) ||
        (first == '{' && count('{') > count('}')) || first == '%' || (first == '$' && count('$') % 2 == 0)) {
      run.remove_prefix(1);
      moved = true;
    } else if ((last == ')' && count(')') > count('(')) || (last == ']' && count(']') > count('[')) ||
               (last == '}' && count('}') > count('{')) || is_in(last, "(<=_$.,") || (last == '-' && run.size() > 1)) {
      run.remove_suffix(1);
      moved = true;
    }
  }
  return run;
}

// Takes " ", "$" and what opens or closes a formula from the end of a text.
void drop_marks(std::string_view& text) {
  for (;;) {
    if (!text.empty() && is_in(text.back(), " $*\n")) {
      text.remove_suffix(1);
    } else if (text.ends_with("\\(") || text.ends_with("\\)")) {
      text.remove_suffix(2);
    } else {
      return;
    }
  }
}

}  // namespace

bool negated_by_word(std::string_view before) {
  drop_marks(before);
  const std::string low = lower(before.substr(before.size() > 24 ? before.size() - 24 : 0));
  for (const std::string_view word : {" minus", " negative", " moins", " menos", " meno", " минус", "负", "負",
                                      "マイナス", "마이너스", " سالب", " ऋण"}) {
    if (!low.ends_with(word)) continue;
    const auto rest = std::string_view(low).substr(0, low.size() - word.size());
    const bool words_join = (word[0] & 0x80) != 0 && !rest.empty() && (rest.back() & 0x80) != 0;  // 胜负
    if (words_join && !rest.ends_with("是") && !rest.ends_with("为") && !rest.ends_with("：") && !rest.ends_with("は"))
      return false;
    return rest.empty() || !is_digit(rest.back());
  }
  return false;
}

namespace {

// "June 20" is a day, "Team 3" a name: a month, or a word with a capital in the midst of a sentence, takes its number.
bool named_by_word(std::string_view before) {
  static constexpr std::string_view kMonths[] = {"january", "february", "march",     "april",   "may",      "june",
                                                 "july",    "august",   "september", "october", "november", "december",
                                                 "jan",     "feb",      "mar",       "apr",     "jun",      "jul",
                                                 "aug",     "sep",      "sept",      "oct",     "nov",      "dec"};
  static constexpr std::string_view kNoNames[] = {"approximately", "about",  "exactly", "only", "just",
                                                  "roughly",       "around", "is",      "are",  "equals",
                                                  "answer",        "total",  "option"};
  before = trimmed(before);
  if (before.ends_with('.')) before.remove_suffix(1);
  size_t begin = before.size();
  while (begin > 0 && is_letter(before[begin - 1])) --begin;
  const auto word = before.substr(begin);
  if (word.size() < 3 || !is_upper(word[0]) || !is_lower(word[1])) return false;
  const std::string low = lower(word);
  if (is_one_of(low, kMonths)) return true;
  const bool midst = begin > 1 && before[begin - 1] == ' ' && is_lower(before[begin - 2]);
  return midst && !find_unit(low) && !find_unit(word) && !is_one_of(low, kNoNames);
}

enum class Separator { kNone, kAnd, kOr };

// Takes a comma, a conjunction or both from the end of a text, and says which of them there was.
Separator drop_separator(std::string_view& text) {
  drop_marks(text);
  Separator found = Separator::kNone;
  if (text.ends_with(" and")) {
    text = trimmed(text.substr(0, text.size() - 4));
    found = Separator::kAnd;
  } else if (text.ends_with(" or")) {
    text = trimmed(text.substr(0, text.size() - 3));
    found = Separator::kOr;
  }
  if (text.ends_with(',') || text.ends_with(';')) {
    text.remove_suffix(1);
    if (found == Separator::kNone) found = Separator::kAnd;
  }
  return found;
}

// Takes the "x =" of "x = 1 and x = 3" from the end of a text and returns its name, or a space where there is none.
char drop_name(std::string_view& text) {
  std::string_view rest = text;
  drop_marks(rest);
  if (!rest.ends_with('=')) return ' ';
  rest = trimmed(rest.substr(0, rest.size() - 1));
  const bool named = rest.size() > 1 && is_letter(rest.back()) && is_in(rest[rest.size() - 2], " $(");
  const char name = named ? rest.back() : ' ';
  if (named) text = rest.substr(0, rest.size() - 1);
  return name;
}

// The name of a formula such as "x = 3", or a space where it begins otherwise.
char name_of(std::string_view formula) { return begins_equation(formula) ? formula[0] : ' '; }

bool introduces_list(std::string_view lead) {
  drop_marks(lead);
  if (lead.ends_with(':')) lead.remove_suffix(1);
  const std::string low = lower(lead.substr(lead.size() > 24 ? lead.size() - 24 : 0));
  static constexpr std::string_view kLeads[] = {" are",     " answer is",   " values",   " solutions", " roots",
                                                " answers", " numbers",     " include",  " integers",  " possibilities",
                                                " zeros",   " solution is", " system is"};
  const std::string spaced = " " + low.substr(std::min(low.find_first_not_of('*'), low.size()));
  return std::any_of(std::begin(kLeads), std::end(kLeads),
                     [&](std::string_view word) { return spaced.ends_with(word); });
}

}  // namespace

std::string_view last_sentence(std::string_view text) {
  size_t begin = 0;
  for (const std::string_view stop : {". ", "? ", "! ", "\n"}) {
    const size_t at = text.rfind(stop);
    if (at != std::string_view::npos) begin = std::max(begin, at + stop.size());
  }
  while (begin < text.size() && is_in(text[begin], " *$")) ++begin;
  return text.substr(begin);
}

std::string items_before(std::string_view before, size_t& begin, std::string_view last) {
  const size_t size = before.size();
  begin = size;
  constexpr size_t kItem = 60;    // bytes of an item
  constexpr size_t kItems = 100;  // more items are no answer
  std::string items;
  char name = ' ';
  char next_name = name_of(last);
  bool numbers = true;        // "$a=1$, $b=2$, " may be a condition; three numbers in a row are a list in any case
  bool offered = false;       // "x = 3 or x = 4" is a list in any case, too
  size_t value_begin = size;  // of the first item, behind its name
  const auto list = [&](bool stands) {
    if (stands && !items.empty()) begin = value_begin;
    return stands ? items : std::string();
  };
  for (size_t count = 0; count < kItems; ++count) {
    const char other = drop_name(before);
    if (other != ' ' && name != ' ' && other != name) return "";  // "With a = 1 and b = 2, ..."
    name = other != ' ' ? other : name;
    next_name = other != ' ' ? other : next_name;
    std::string_view rest = before;
    const Separator separator = drop_separator(rest);
    if (separator == Separator::kNone) return list(introduces_list(before) || (numbers && count > 1) || offered);
    rest = trimmed(rest);
    const bool dollars = rest.ends_with('$');
    const bool formula = dollars || rest.ends_with("\\)");
    drop_marks(rest);
    size_t open = dollars ? rest.rfind('$') : formula ? rest.rfind("\\(") : rest.find_last_of(" \n$:");
    if (formula && !dollars && open != std::string_view::npos) ++open;
    const auto item = rest.substr(open == std::string_view::npos ? 0 : open + 1);
    const bool number = !item.empty() && item.find_first_not_of("0123456789.,/-") == std::string_view::npos;
    const bool value = formula ? !item.empty() && item.size() < kItem : number && is_digit(item.back());
    if (!value) return list(offered);
    std::string_view lead = rest.substr(0, rest.size() - item.size());
    std::string_view names = lead;
    const char item_name = formula ? name_of(item) : drop_name(names);
    if (separator == Separator::kOr && (item_name == ' ' || item_name != next_name)) return list(offered);
    offered = offered || separator == Separator::kOr;
    next_name = item_name;
    numbers = numbers && number;
    items = std::string(item) + ", " + items;
    before = lead;
    value_begin = lead.size();
  }
  begin = value_begin;
  return items;
}

namespace {

// Where "when x =", "at x =" or "for n =" begins at the end of a text, if a value stands before it that the same
// sentence states: "The maximum is 7 when x = ". npos elsewhere, as in "The maximum occurs at x = ".
size_t circumstance_at(std::string_view text) {
  std::string_view lead = text;
  if (drop_name(lead) == ' ') return std::string_view::npos;
  drop_marks(lead);
  for (const std::string_view word : {" when", " at", " for", " if", " where"}) {
    if (!lead.ends_with(word)) continue;
    const auto sentence = lower(last_sentence(lead.substr(0, lead.size() - word.size())));
    const size_t digit = sentence.find_last_of("0123456789");
    if (digit == std::string::npos) continue;
    size_t begin = digit;
    while (begin > 0 && (is_digit(sentence[begin - 1]) || is_in(sentence[begin - 1], ".,/$-\\{}()"))) --begin;
    const auto before = trimmed(std::string_view(sentence).substr(0, begin));
    for (const std::string_view verb : {" is", " are", "=", " equals", " of", " be", " get", " has"}) {
      if (before.ends_with(verb)) return lead.size() - word.size();
    }
  }
  return std::string_view::npos;
}

// last_value(); with `stated`, the value before "when x = 5" instead of 5, where there is one.
std::string value_at_end(std::string_view text, size_t& at, bool stated) {
  at = std::string_view::npos;
  const size_t offset = text.size() > kTail ? text.size() - kTail : 0;
  const std::string_view tail = text.substr(offset);
  const Run run = Runs(tail).last();
  if (!run.digit || run.in_word) return "";
  const auto value = tidied(tail.substr(run.begin, run.end - run.begin));
  if (std::none_of(value.begin(), value.end(), is_digit)) return "";
  const auto begin = static_cast<size_t>(value.data() - tail.data());
  if (const size_t word = stated ? circumstance_at(tail.substr(0, begin)) : std::string_view::npos;
      word != std::string_view::npos) {
    std::string value_before = value_at_end(text.substr(0, offset + word), at, false);
    if (!value_before.empty()) return value_before;
  }
  const bool named = begin == run.begin || is_space(tail[begin - 1]);
  if (named && negated_by_word(tail.substr(0, begin))) {
    at = offset + begin;
    return "-" + std::string(value);
  }
  if (named && (changed_before(tail.substr(0, begin)) || named_by_word(tail.substr(0, begin)))) return "";
  // "Find the total: 9 * 2 = 18" and "Find the total: 18" say what comes of it, "Find the total: 9 * 2" does not.
  const auto sentence = last_sentence(tail.substr(0, begin));
  const bool plain = value.find_first_not_of("0123456789.,-") == std::string_view::npos;
  const bool result = value.find('=') != std::string_view::npos || (plain && trimmed(sentence).ends_with(':'));
  if (!result && is_hypothesis(sentence)) return "";
  const auto behind = tail.substr(run.end);
  if (denied_before(tail.substr(0, begin)) || changed_behind(behind) || denied_behind(behind)) return "";
  size_t first = 0;
  const std::string items = items_before(tail.substr(0, begin), first);
  const auto lead = tail.substr(0, first);
  if (!items.empty() && (changed_before(lead) || denied_before(lead) || list_denied_behind(behind))) return "";
  at = offset + begin;
  return items + std::string(value);
}

}  // namespace

std::string last_value(std::string_view text, size_t& at) { return value_at_end(text, at, true); }

}  // namespace grpo::verifier
