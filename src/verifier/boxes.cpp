#include <algorithm>
#include <array>
#include <set>

#include "verifier/budget.h"
#include "verifier/char_class.h"
#include "verifier/denial.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

constexpr std::array<std::string_view, 3> kCommands = {"\\boxed", "\\fbox", "\\framebox"};
constexpr size_t kMaxGap = 60;  // bytes between two boxes that still belong together

// Length of a box command at `at` that no letter continues, or 0.
size_t command_at(std::string_view text, size_t at) {
  const char first = at + 1 < text.size() ? text[at + 1] : ' ';
  if (first != 'b' && first != 'f') return 0;  // most backslashes begin another command
  for (const auto& command : kCommands) {
    if (text.substr(at, command.size()) != command) continue;
    const size_t end = at + command.size();
    return end < text.size() && is_letter(text[end]) ? 0 : command.size();
  }
  return 0;
}

// The end of an argument without braces, as in \boxed 5 and \boxed\frac12: the next space outside of groups. The next
// box ends it, too, so that the time for many boxes stays linear.
size_t end_of_word(std::string_view text, size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{') ++depth;
    if (c == '}' && --depth < 0) break;
    if (depth == 0 && (is_space(c) || c == '$')) break;
    if (c == '\\' && command_at(text, at) > 0) break;
    if (c == '\\' && at + 1 < text.size() && (text[at + 1] == ')' || text[at + 1] == ']')) break;
  }
  return at;
}

struct Brace {
  size_t at;
  size_t box;  // where the box command begins, or npos for any other brace
};

// The words and punctuation between two boxes, without commands.
struct Gap {
  std::vector<std::string> words;
  bool separator = false;  // a comma, semicolon or ampersand
  bool breaks = false;     // the end of a sentence or a paragraph
};

Gap read_gap(std::string_view gap) {
  Gap out;
  for (size_t i = 0; i < gap.size();) {
    const char c = gap[i];
    if (c == '\\') {
      ++i;
      if (i < gap.size() && is_letter(gap[i])) {
        while (i < gap.size() && is_letter(gap[i])) ++i;
      } else {
        ++i;
      }
    } else if (is_letter(c)) {
      const size_t begin = i;
      while (i < gap.size() && is_letter(gap[i])) ++i;
      out.words.push_back(lower(gap.substr(begin, i - begin)));
    } else {
      if (c == ',' || c == ';' || c == '&') out.separator = true;
      if (c == '.' || c == '!' || c == '?' || c == ':' || static_cast<unsigned char>(c) >= 0x80 ||
          (c == '\n' && i + 1 < gap.size() && gap[i + 1] == '\n' && !out.words.empty()))
        out.breaks = true;
      ++i;
    }
  }
  return out;
}

bool corrects(const std::string& word) {
  return is_one_of(word, {"wait",   "no",      "not",   "actually", "correct", "corrected", "but",     "instead",
                          "rather", "so",      "then",  "thus",     "hence",   "therefore", "finally", "now",
                          "sorry",  "mistake", "again", "recheck",  "which",   "is",        "should"});
}

// Chinese and other texts join boxes with their own commas and words.
bool joins_in_other_scripts(std::string_view gap) {
  const std::string bare = trim(gap);
  return bare == "和" || bare == "或" || bare == "，" || bare == "、" || bare == "؛" || bare == "،" || bare == "$和$" ||
         bare == "$或$" || bare == "$，$" || bare == "$、$" || bare == "और" || bare == "या" || bare == "و" ||
         bare == "أو";
}

// "\\boxed{7}+\\boxed{5}=\\boxed{12}" is a calculation, no list.
bool is_operator(std::string_view gap) {
  std::string bare;
  for (const char c : gap) {
    if (!is_space(c) && c != '$') bare += c;
  }
  return bare == "=" || bare == ":" || bare == "+" || bare == "-" || bare == "*" || bare == "/" || bare == "<" ||
         bare == ">" || bare == "\\cdot" || bare == "\\times" || bare == "\\Rightarrow" || bare == "\\approx";
}

// Whether the words between two boxes offer the second beside the first: "or x is", "as well as". "or so, then" does
// not.
bool offers_both(const std::vector<std::string>& words) {
  static const std::set<std::vector<std::string>> kOffers = {
      {"otherwise"}, {"alternatively"}, {"as", "well", "as"}, {"together", "with"}, {"along", "with"}, {"versus"},
      {"vs"},        {"also"},          {"perhaps", "also"},  {"and", "also"}};
  const bool either =
      !words.empty() && words[0] == "or" && words.size() <= 4 &&
      std::none_of(words.begin(), words.end(), [](const std::string& w) { return w != "is" && corrects(w); });
  return either || kOffers.contains(words);
}

bool joined(std::string_view gap) {
  if (gap.size() > kMaxGap) return false;
  if (joins_in_other_scripts(gap)) return true;
  const Gap parts = read_gap(gap);
  if (is_operator(gap)) return false;
  if (!parts.breaks && offers_both(parts.words)) return true;
  if (parts.breaks || std::any_of(parts.words.begin(), parts.words.end(), corrects)) return false;
  const bool word = std::any_of(parts.words.begin(), parts.words.end(), [](const std::string& w) {
    return is_one_of(w, {"and", "or", "et", "ou", "y", "und", "oder"});
  });
  if (word) return parts.words.size() <= 6;
  const bool names =
      std::all_of(parts.words.begin(), parts.words.end(), [](const std::string& w) { return w.size() == 1; });
  return names && parts.words.size() <= 2 && (parts.separator || parts.words.empty());
}

// The label of a part, "(b)", directly before a box, or "". `begin` becomes the position of the label.
std::string label_before(std::string_view text, size_t box, size_t& begin) {
  const auto is_markup = [](char c) { return is_space(c) || c == '$' || c == '*' || c == ':'; };
  size_t end = box;
  while (end > 0 && is_markup(text[end - 1])) --end;
  if (end > 1 && text.substr(end - 2, 2) == "\\(") end -= 2;
  while (end > 0 && is_markup(text[end - 1])) --end;
  if (end < 2 || text[end - 1] != ')') return "";
  begin = end - 1;
  while (begin > 0 && end - begin < 5 && (is_lower(text[begin - 1]) || is_digit(text[begin - 1]))) --begin;
  const auto mark = text.substr(begin, end - 1 - begin);
  const bool roman = mark.find_first_not_of("ivx") == std::string_view::npos;
  if (begin == 0 || text[begin - 1] != '(' || mark.empty() || (mark.size() > 1 && !roman)) return "";
  --begin;
  return std::string(text.substr(begin, end - begin));
}

// Whether a gap between two boxes is the mark of the next item of a list, "\n- ", "\n2. " or "\nAnswer 2: ".
bool is_item_mark(std::string_view gap) {
  if (gap.size() > kMaxGap || gap.find('\n') == std::string_view::npos) return false;
  std::string mark;
  for (const char c : gap) {
    if (!is_space(c) && c != '$' && c != '*' && c != '_') mark += c;
  }
  for (const std::string_view stop : {".", ",", ";"}) {
    if (mark.starts_with(stop)) mark.erase(0, 1);
  }
  if (mark == "-" || mark == "•") return true;
  std::string low = lower(mark);
  for (const std::string_view word : {"answer", "option", "candidate", "guess", "root", "solution"}) {
    if (low.starts_with(word)) low.erase(0, word.size());
  }
  const size_t count = std::min(low.find_first_not_of("0123456789"), low.size());
  return count > 0 && count < 3 && low.size() == count + 1 &&
         (low[count] == '.' || low[count] == ')' || low[count] == ':');
}

// Whether nothing but the label of a part stands between a box that ends at `end` and the box at `next`.
bool joined_by_label(std::string_view text, size_t end, size_t next) {
  if (is_item_mark(text.substr(end, next - end))) return true;
  size_t begin = 0;
  if (label_before(text, next, begin).empty() || begin < end) return false;
  const auto gap = text.substr(end, begin - end);
  return gap.size() <= kMaxGap && gap.find_first_not_of(" \n$*,;.)-\\") == std::string_view::npos;
}

// The name of an "x_1 =" directly before a box, or "".
std::string name_before(std::string_view text, size_t box) {
  size_t at = box;
  const auto skip = [&](auto test) {
    while (at > 0 && test(text[at - 1])) --at;
  };
  skip([](char c) { return is_space(c) || c == '$'; });
  if (at == 0 || text[at - 1] != '=') return "";
  --at;
  skip(is_space);
  const size_t end = at;
  skip([](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '{' || c == '}'; });
  return end - at > 0 && end - at <= 8 && is_letter(text[at]) ? std::string(text.substr(at, end - at)) : "";
}

// The value of a box without box commands, groups and spaces. Both boxes of (\boxed{3}, \boxed{8}) have the value
// (3,8).
std::string without_boxes(const std::string& value) {
  std::string out;
  for (size_t i = 0; i < value.size(); ++i) {
    if (const size_t length = value[i] == '\\' ? command_at(value, i) : 0; length > 0) {
      i += length - 1;
    } else if (!is_space(value[i]) && value[i] != '{' && value[i] != '}') {
      out += value[i];
    }
  }
  return clean_answer(out);
}

}  // namespace

Boxes find_boxes(std::string_view text) {
  Boxes out;
  std::vector<Brace> open;
  size_t last_opened = 0;
  bool any = false;
  std::vector<Box> closed;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      const size_t length = command_at(text, i);
      if (length == 0) {
        // Skips the second character of an escaped brace and of "\\", so that it opens no group, but not a box.
        if (i + 1 < text.size() &&
            (text[i + 1] == '{' || text[i + 1] == '}' || (text[i + 1] == '\\' && command_at(text, i + 1) == 0)))
          ++i;
        continue;
      }
      size_t at = i + length;
      while (at < text.size() && is_space(text[at])) ++at;
      any = true;
      last_opened = i;
      if (at < text.size() && text[at] == '{') {
        open.push_back({at, i});
        i = at;
      } else if (at < text.size() && text[at] != '}') {
        const size_t end = end_of_word(text, at);
        if (end > at) closed.push_back({i, end, at, end});
        i = std::max(i + length - 1, at - 1);
      }
    } else if (c == '{') {
      open.push_back({i, std::string_view::npos});
    } else if (c == '}' && !open.empty()) {
      const Brace brace = open.back();
      open.pop_back();
      if (brace.box == std::string_view::npos) continue;
      while (!closed.empty() && closed.back().begin > brace.box) closed.pop_back();  // drops the boxes inside this one
      closed.push_back({brace.box, i + 1, brace.at + 1, i});
    }
  }
  for (const Brace& brace : open) {
    if (any && brace.box == last_opened) out.last_unfinished = true;
  }
  out.complete = std::move(closed);
  return out;
}

namespace {

bool says_or(std::string_view gap) {
  const auto words = read_gap(gap).words;
  return std::any_of(words.begin(), words.end(),
                     [](const std::string& w) {
                       return is_one_of(w, {"or", "ou", "oder"});
                     }) ||
         gap.find("或") != std::string_view::npos;
}

}  // namespace

std::vector<Box> undenied(std::string_view text, std::vector<Box> boxes) {
  while (!boxes.empty()) {
    const Box& last = boxes.back();
    if (!denied_before(text.substr(0, last.begin)) && !denied_behind(text.substr(last.end))) return boxes;
    const size_t begin = last.begin;
    boxes.pop_back();
    // "\\boxed{9} rather than \\boxed{8}": the other box of the same sentence stands.
    const bool near = !boxes.empty() && begin - boxes.back().end <= kMaxGap &&
                      !read_gap(text.substr(boxes.back().end, begin - boxes.back().end)).breaks;
    if (!near) return {};
  }
  return boxes;
}

size_t run_begin(std::string_view text, const std::vector<Box>& boxes) {
  size_t first = boxes.size() - 1;
  while (first > 0 && (joined(text.substr(boxes[first - 1].end, boxes[first].begin - boxes[first - 1].end)) ||
                       joined_by_label(text, boxes[first - 1].end, boxes[first].begin))) {
    --first;
    if (boxes.size() - first > static_cast<size_t>(kMaxListLength)) throw OverBudget("too many boxes");
  }
  return first;
}

std::string final_boxes(std::string_view text, const std::vector<Box>& boxes, bool& several) {
  const size_t first = run_begin(text, boxes);
  std::vector<std::string> parts;
  bool named = true;
  bool labelled = true;
  size_t label_at = 0;
  for (size_t i = first; i < boxes.size(); ++i) {
    labelled = labelled && !label_before(text, boxes[i].begin, label_at).empty();
    named = named && !name_before(text, boxes[i].begin).empty();
    std::string part = without_boxes(boxed_value(text, boxes[i]));
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(std::move(part));
  }
  several = parts.size() > 1 || (labelled && boxes.size() - first > 1);
  if (!several) return boxed_value(text, boxes.back());
  std::string out;
  for (size_t i = first; i < boxes.size(); ++i) {
    const bool either = i > first && says_or(text.substr(boxes[i - 1].end, boxes[i].begin - boxes[i - 1].end));
    out += (out.empty() ? ""
            : either    ? " \\text{ or } "
                        : " , ") +
           (named      ? name_before(text, boxes[i].begin) + "="
            : labelled ? label_before(text, boxes[i].begin, label_at) + " "
                       : std::string()) +
           clean_answer(boxed_value(text, boxes[i]));
  }
  return out;
}

}  // namespace grpo::verifier
