#include <algorithm>
#include <string>

#include "verifier/budget.h"
#include "verifier/char_class.h"
#include "verifier/extract.h"
#include "verifier/glue.h"
#include "verifier/lexer.h"
#include "verifier/number_words.h"
#include "verifier/unicode.h"
#include "verifier/units.h"

// A box inside a formula, -\boxed{7} or \frac{\boxed{7}}{2}, is read together with what stands round it.
namespace grpo::verifier {
namespace {

constexpr size_t kMaxFormula = 2000;  // bytes before and behind a box that may belong to its formula

bool is_any(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string_view name_at(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && is_letter(text[end])) ++end;
  return text.substr(at, end - at);
}

// Whether a text holds words of a sentence. Then a dollar sign before it closed a formula instead of opening one.
bool has_prose(std::string_view text) {
  size_t words = 0;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\\') {
      i += std::max<size_t>(2, name_at(text, i).size());
      if (i < text.size() && text[i] == '{') i = std::min(text.find('}', i), text.size());
    } else if ((text[i] & 0x80) != 0) {
      const std::string latex = to_latex(text.substr(i, 4));
      if ((latex[0] & 0x80) != 0 || latex[0] == '.' || latex[0] == ',') return true;  // letters of another script
      while (i < text.size() && (text[i] & 0x80) != 0) ++i;
    } else if (is_letter(text[i])) {
      const size_t begin = i;
      while (i < text.size() && is_letter(text[i])) ++i;
      words += i - begin > 1 && !is_function_name(text.substr(begin, i - begin)) ? 1 : 0;
      if (words > 1) return true;
    } else {
      ++i;
    }
  }
  return words == 1 && text.find_first_of("=+-^_\\") == std::string_view::npos;
}

struct Formula {
  size_t begin = 0;
  size_t end = 0;
};

// The span of the LaTeX formula in which the box stands, without its delimiters; empty when the box stands in prose.
Formula formula_around(std::string_view text, const Box& box) {
  const size_t from = box.begin > kMaxFormula ? box.begin - kMaxFormula : 0;
  for (size_t i = box.begin; i-- > from;) {
    const auto two = text.substr(i, 2);
    std::string_view close;
    size_t begin = i + 2;
    if (two == "\\]" || two == "\\)" || two == "\n\n") return {};
    if (two == "\\[") close = "\\]";
    if (two == "\\(") close = "\\)";
    if (text.substr(i, 5) == "\\end{") return {};
    if (text.substr(i, 7) == "\\begin{" && (text.substr(i + 7, 5) == "align" || text.substr(i + 7, 8) == "equation" ||
                                            text.substr(i + 7, 6) == "gather")) {
      close = "\\end{";
      begin = text.find('}', i) + 1;
    }
    if (text[i] == '$' && (i == 0 || text[i - 1] != '\\')) {
      if (has_prose(text.substr(i + 1, box.begin - i - 1))) return {};
      close = "$";
      begin = i + 1;
    }
    if (close.empty()) continue;
    const size_t end = text.find(close, box.end);
    if (begin > box.begin || end == std::string_view::npos || end - box.end > kMaxFormula) return {};
    return {begin, end};
  }
  return {};
}

bool is_text_command(std::string_view name) {
  return is_any(name, {"\\text", "\\textbf", "\\mbox", "\\mathrm", "\\textrm", "\\textit"});
}

// The length of a sign at `at` behind which a new operand begins, or 0 when none stands there. Signs of order (<, \le,
// \ne) are no such signs: in x < \boxed{7} the whole inequality is the answer.
size_t separator_at(std::string_view text, size_t at) {
  const char c = text[at];
  const bool order =
      c == '=' && at > 0 &&
      (text[at - 1] == '<' || text[at - 1] == '>' || text[at - 1] == '!' || text.substr(0, at).ends_with("\\not"));
  const bool thousands = c == ',' && at + 1 < text.size() && is_digit(text[at + 1]);
  if (order || thousands) return 0;
  if (c == '=' || c == '&' || c == ',' || c == ';') return 1;
  if (c != '\\') return 0;
  if (text.substr(at, 2) == "\\\\") return 2;
  const auto name = name_at(text, at);
  const bool separates =
      is_any(name, {"\\Rightarrow", "\\implies",        "\\Longrightarrow", "\\to",          "\\rightarrow",
                    "\\iff",        "\\Leftrightarrow", "\\therefore",      "\\quad",        "\\qquad",
                    "\\equiv",      "\\approx",         "\\simeq",          "\\cong",        "\\in",
                    "\\because",    "\\boxed",          "\\checkmark",      "\\blacksquare", "\\square",
                    "\\tag",        "\\pmod",           "\\label",          "\\hfill"});
  return separates ? name.size() : 0;
}

// The position behind the group that begins at `at`.
size_t group_end(std::string_view text, size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '{') {
      ++depth;
    } else if (text[at] == '}' && --depth <= 0) {
      return at + 1;
    }
  }
  return text.size();
}

// Where the operand of the box begins in `before`, the part of the formula before the box. A bracket that is still open
// at the box belongs to the operand, together with the command that takes it: \frac{\boxed{7}}{2}.
size_t operand_begin(std::string_view before) {
  std::vector<size_t> starts{0};  // where the operand begins, then the open brackets
  for (size_t i = 0; i < before.size();) {
    const char c = before[i];
    if (c == '\\' && is_text_command(name_at(before, i))) {
      i = group_end(before, i + name_at(before, i).size());
      if (starts.size() == 1) starts[0] = i;
    } else if (const size_t length = separator_at(before, i)) {
      if (before.substr(i, 6) == "\\boxed") {
        i = group_end(before, i + length);
        continue;
      }
      i += length;
      if (starts.size() == 1) starts[0] = i;
    } else if (c == '\\') {
      i += std::max<size_t>(2, name_at(before, i).size());
    } else {
      if (c == '{' || c == '(' || c == '[') starts.push_back(i);
      if ((c == '}' || c == ')' || c == ']') && starts.size() > 1) starts.pop_back();
      ++i;
    }
  }
  return starts[0];
}

int open_brackets(std::string_view before) {
  int depth = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] == '\\') {
      ++i;
    } else if (std::string_view("{([").find(before[i]) != std::string_view::npos) {
      ++depth;
    } else if (std::string_view("})]").find(before[i]) != std::string_view::npos) {
      depth = std::max(0, depth - 1);
    }
  }
  return depth;
}

// Whether words behind a box are a unit or change its value: "cm", "hundredths", "squared".
bool changes_value(std::string_view words) {
  const auto phrase = trimmed(words);
  const auto first = phrase.substr(0, phrase.find(' '));
  return parse_unit(phrase) || scale_word(first) ||
         is_any(first, {"squared", "cubed", "factorial", "percent", "times", "plus", "minus", "or"});
}

// Where the operand of the box ends in `behind`, the part of the formula behind the box, where `depth` brackets are
// open. A \text{} with a unit belongs to the operand. `whole` says that no equals sign stands before the box; then one
// behind it belongs to the answer, as in \boxed{x} = 7.
size_t operand_end(std::string_view behind, int depth, bool whole) {
  for (size_t i = 0; i < behind.size();) {
    const char c = behind[i];
    if (c == '\\' && is_text_command(name_at(behind, i))) {
      const size_t open = i + name_at(behind, i).size();
      const size_t end = group_end(behind, open);
      if (depth == 0 && (end < open + 2 || !changes_value(behind.substr(open + 1, end - open - 2)))) return i;
      i = end;
      continue;
    }
    const bool stop = c == '.' && !(i + 1 < behind.size() && is_digit(behind[i + 1]));
    const bool goes_on = (c == '=' && whole) || behind.substr(i, 3) == "\\to" ||
                         behind.substr(i, 11) == "\\rightarrow" || behind.substr(i, 6) == "\\equiv";
    if (depth == 0 && ((separator_at(behind, i) > 0 && !goes_on) || stop)) return i;
    if (c == '\\') {
      i += std::max<size_t>(2, name_at(behind, i).size());
      continue;
    }
    if (c == '{' || c == '(' || c == '[') ++depth;
    if (c == '}' || c == ')' || c == ']') --depth;
    if (depth < 0) return i;
    ++i;
  }
  return behind.size();
}

// The text without spaces and styling commands at its ends, since they change no value.
std::string_view without_space(std::string_view text) {
  for (bool moved = true; moved;) {
    moved = false;
    text = trimmed(text);
    for (const std::string_view blank : {"\\,", "\\;", "\\:", "\\!", "\\ ", "\\displaystyle", "\\color{red}",
                                         "\\color{blue}", "\\left", "\\right", "**", "\\large", "\\Large", "\\bf"}) {
      if (text.starts_with(blank)) {
        text = text.substr(blank.size());
        moved = true;
      } else if (text.ends_with(blank)) {
        text = text.substr(0, text.size() - blank.size());
        moved = true;
      }
    }
  }
  return text;
}

// The list in which the box stands beside bare numbers, with # for the box: "6, #" for 6, \boxed{5}. Empty when there
// is no such list.
std::string neighbours(std::string_view before, std::string_view behind) {
  const auto is_number = [](std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
      return is_digit(c) || c == '.' || c == '-' || c == ' ' || c == ',';
    });
  };
  const auto left = trimmed(before);
  const auto right = trimmed(behind);
  if (left.ends_with(',') && is_number(left.substr(0, left.size() - 1))) return std::string(left) + " #";
  return right.starts_with(',') && right.size() > 1 && is_number(right.substr(1)) ? "# " + std::string(right) : "";
}

// In prose only what touches the box counts: -\boxed{7}, \boxed{7}^2, \boxed{7}%, "\boxed{5} million".
std::string in_prose(std::string_view text, const Box& box, std::string content) {
  const bool dollar = box.begin > 0 && text[box.begin - 1] == '$' && (box.begin < 2 || text[box.begin - 2] != '$');
  const size_t open = box.begin - (dollar ? 1 : 0);  // a dollar sign does not part -$\boxed{5}$ or 2$\boxed{5}$
  const char touching = open > 0 ? text[open - 1] : ' ';
  const Glue glue = glue_round(text.substr(0, box.begin), text.substr(box.end));
  if (!glue.left.empty()) {
    // the sign before the box is part of what it is glued to
  } else if (touching == '-' || touching == '+') {
    const char before = open > 1 ? text[open - 2] : ' ';
    if (is_space(before)) content = std::string(1, touching) + "{" + content + "}";
  } else if (dollar && is_digit(touching)) {
    content = std::string(1, touching) + "\\cdot{" + content + "}";
  }
  const auto behind = text.substr(box.end);
  if (!glue.left.empty() || !glue.right.empty()) {
    const auto is_part_of_number = [](char c) { return is_digit(c) || c == '.' || c == ',' || c == '_'; };
    const bool digits = (!glue.left.empty() && is_part_of_number(glue.left.back())) ||
                        (!glue.right.empty() && is_part_of_number(glue.right[0]));
    return glue.left + (digits ? content : "{" + content + "}") + glue.right;
  }
  const size_t slash = behind.starts_with('$') ? 1 : 0;
  if (behind.size() > slash + 1 && behind[slash] == '/' && is_digit(behind[slash + 1]))
    return "{" + content + "}/" + std::string(1, behind[slash + 1]);
  if (behind.starts_with('%') || behind.starts_with("\\%")) return content + "\\%";
  if (behind.starts_with('^'))
    return "{" + content + "}" + std::string(behind.substr(0, behind[1] == '{' ? group_end(behind, 1) : 2));
  size_t at = 0;
  while (at < behind.size() &&
         (behind[at] == ' ' || behind[at] == '$' || behind[at] == '*' || behind.substr(at, 2) == "\\)"))
    at += behind[at] == '\\' ? 2 : 1;
  size_t end = at;
  while (end < behind.size() && is_letter(behind[end])) ++end;
  const std::string word = lower(behind.substr(at, end - at));
  if (behind.substr(at, 1) == "%") return content + "\\%";
  if (is_any(word, {"percent", "million", "billion", "thousand", "hundred", "dozen", "squared", "cubed", "factorial",
                    "trillion", "hundredths", "tenths", "thousandths"}))
    return "{" + content + "}\\text{ " + word + "}";  // the word scales all of "{1, 0} dozen", not the last item alone
  return content;
}

}  // namespace

std::string boxed_value(std::string_view text, const Box& box) {
  std::string content(text.substr(box.content_begin, box.content_end - box.content_begin));
  const Formula formula = formula_around(text, box);
  if (formula.end == 0) return in_prose(text, box, std::move(content));
  const auto before = text.substr(formula.begin, box.begin - formula.begin);
  const auto behind = text.substr(box.end, formula.end - box.end);
  const size_t begin = operand_begin(before);
  const auto left = without_space(before.substr(begin));
  const bool whole = before.substr(0, begin).find('=') == std::string_view::npos;
  const auto right = without_space(behind.substr(0, operand_end(behind, open_brackets(before.substr(begin)), whole)));
  const bool inside = open_brackets(before.substr(begin)) > 0;  // \int_0^{\boxed{11}} x dx
  if (!inside && (has_prose(left) || has_prose(right)))
    return in_prose(text, box, std::move(content));  // the dollar sign did not open a formula
  if (left.empty() && right.empty()) {
    std::string others = neighbours(before.substr(0, begin), behind.substr(operand_end(behind, 0, false)));
    if (!others.empty()) return others.replace(others.find('#'), 1, content);
  }
  if (left.empty() && right.empty()) return in_prose(text, {formula.begin, formula.end, 0, 0}, std::move(content));
  const auto digit_at = [](std::string_view part, bool front) {
    return !part.empty() && (is_digit(front ? part.front() : part.back()) ||
                             (front ? part.front() : part.back()) == '.' || (front && part.front() == ','));
  };
  const bool glued = digit_at(right, true) || digit_at(left, false);
  return std::string(left) + (glued ? content : "{" + content + "}") + std::string(right);
}

}  // namespace grpo::verifier
