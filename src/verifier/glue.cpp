#include "verifier/glue.h"

#include <algorithm>
#include <array>

#include "verifier/char_class.h"
#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

constexpr size_t kFarthest = 200;  // bytes before a box in which its formula may begin

// The text without spaces and signs that open or close a formula at its end.
std::string_view without_marks_at_end(std::string_view text) {
  for (;;) {
    if (!text.empty() && (text.back() == ' ' || text.back() == '$')) {
      text.remove_suffix(1);
    } else if (text.ends_with("\\(") || text.ends_with("\\)") || text.ends_with("\\[")) {
      text.remove_suffix(2);
    } else {
      return text;
    }
  }
}

// Whether a value follows as the answer: "the answer is", "x =".
bool announces_value(std::string_view text) {
  text = without_marks_at_end(text);
  const std::string low = lower(text.substr(text.size() > 10 ? text.size() - 10 : 0));
  return low.ends_with('=') || low.ends_with(" is") || low.ends_with(" are") || low.ends_with(" equals") ||
         low.ends_with(" be") || low == "is";
}

size_t open_of(std::string_view text, char open, char close) {
  int depth = 0;
  for (size_t i = text.size(); i-- > 0;) {
    if (text[i] == close) ++depth;
    if (text[i] == open && --depth == 0) return i;
  }
  return std::string_view::npos;
}

// The operand that a text ends with: 12, x, (a+b), \frac{1}{2}. Empty when it ends in a word.
std::string_view operand_at_end(std::string_view text) {
  if (text.empty()) return {};
  const char last = text.back();
  size_t begin = text.size();
  if (is_digit(last)) {
    while (begin > 0 && (is_digit(text[begin - 1]) || text[begin - 1] == '.')) --begin;
    const bool word = begin > 0 && is_letter(text[begin - 1]);
    return word ? std::string_view{} : text.substr(begin);
  }
  if (is_letter(last)) {
    const bool word = text.size() > 1 && (is_letter(text[text.size() - 2]) || text[text.size() - 2] == '\\');
    const bool article = last == 'a' || last == 'A' || last == 'I';
    return word || article ? std::string_view{} : text.substr(text.size() - 1);
  }
  if (last == ')') begin = open_of(text, '(', ')');
  while (begin != std::string_view::npos && begin > 0 && text[begin - 1] == '}')
    begin = open_of(text.substr(0, begin), '{', '}');
  if (begin == std::string_view::npos || begin == text.size()) return {};
  if (text[begin] == '{') {
    while (begin > 0 && is_letter(text[begin - 1])) --begin;
    if (begin == 0 || text[begin - 1] != '\\') return {};
    --begin;
    if (text.substr(begin).starts_with("\\boxed") || text.substr(begin).starts_with("\\text")) return {};
  }
  return text.substr(begin);
}

// The relation sign, other than "=", with which a line ends.
std::string_view relation_at_end(std::string_view line) {
  for (const std::string_view sign :
       {"\\leq", "\\geq", "\\neq", "\\le", "\\ge", "\\ne", "\\lt", "\\gt", "≤", "≥", "≠", "<=", ">=", "!=", "<", ">"}) {
    if (!line.ends_with(sign)) continue;
    const auto rest = trimmed(line.substr(0, line.size() - sign.size()));
    const bool arrow = rest.ends_with('-') || rest.ends_with('=') || rest.ends_with('>') || rest.ends_with('<');
    const bool tag = sign == ">" && rest.find('<') != std::string_view::npos;
    if (sign == ">" && (rest.empty() || arrow || tag)) return {};  // a quote, ->, <b>
    return sign;
  }
  return {};
}

struct Operator {
  std::string_view sign;
  std::string_view latex;
};
constexpr std::array<Operator, 14> kOperators = {{{"\\times", "\\times "},
                                                  {"\\pm", "\\pm "},
                                                  {"±", "\\pm "},
                                                  {"\\cdot", "\\cdot "},
                                                  {"^{", "^{"},
                                                  {"+", "+"},
                                                  {"-", "-"},
                                                  {"−", "-"},
                                                  {"*", "*"},
                                                  {"×", "\\times "},
                                                  {"·", "\\cdot "},
                                                  {"/", "/"},
                                                  {"÷", "/"},
                                                  {"^", "^"}}};

const Operator* operator_at_end(std::string_view text) {
  for (const Operator& candidate : kOperators) {
    if (text.ends_with(candidate.sign)) return &candidate;
  }
  return nullptr;
}

// The chain of operands and operators that a text ends with, "2 + 3 *".
std::string chain_at_end(std::string_view text) {
  std::string chain;
  for (int i = 0; i < 8; ++i) {
    const Operator* sign = operator_at_end(text);
    if (sign == nullptr) return chain;
    const auto rest = without_marks_at_end(text.substr(0, text.size() - sign->sign.size()));
    const bool minus = sign->latex == "-";
    const bool spaced = rest.size() + sign->sign.size() < text.size();
    const auto operand = operand_at_end(rest);
    const auto lead = rest.substr(0, rest.size() - operand.size());
    if (operand.empty()) {
      // "The answer is - \boxed{5}", but no dash behind other words.
      const bool sign_of_value = minus && announces_value(rest);
      return sign_of_value ? "-" + chain : chain;
    }
    const bool marker = trimmed(lead).empty() && (minus || sign->latex == "*");  // "3 - \boxed{5}" answers question 3
    if (marker || (minus && spaced && !announces_value(lead) && !operator_at_end(without_marks_at_end(lead))))
      return chain;
    chain = std::string(operand) + std::string(sign->latex) + chain;
    text = without_marks_at_end(lead);
  }
  return chain;
}

// From the bracket that is open at the end of a line, if only mathematics stands behind it: "(3, ".
std::string_view open_list(std::string_view line) {
  int depth = 0;
  for (size_t i = line.size(); i-- > 0;) {
    const char c = line[i];
    if (c == ')' || c == ']' || c == '}') ++depth;
    if ((c == '(' || c == '[' || c == '{') && --depth < 0)
      return i > 0 && is_letter(line[i - 1]) ? std::string_view{} : line.substr(i);
    const bool word = is_letter(c) && i > 0 && is_letter(line[i - 1]);
    if (word || (c & 0x80) != 0) return {};
  }
  return {};
}

std::string left_of(std::string_view before) {
  before = before.substr(before.size() > kFarthest ? before.size() - kFarthest : 0);
  const auto line = before.substr(before.rfind('\n') + 1);
  const auto text = without_marks_at_end(line);
  if (const auto relation = relation_at_end(text); !relation.empty()) return std::string(relation) + " ";
  if (text.ends_with(',')) return std::string(open_list(text));
  if (std::string chain = chain_at_end(text); !chain.empty()) return chain;
  if (text.ends_with("√")) return "\\sqrt";
  const bool touching = line.size() - text.size() < 2 && !line.ends_with(' ');
  if (!touching || text.empty()) return "";
  const char last = text.back();
  if (is_letter(last)) {
    const auto operand = operand_at_end(text);
    return std::string(operand);
  }
  if (is_digit(last)) return std::string(operand_at_end(text));
  const bool joined = (last == '.' || last == ':') && text.size() > 1 && is_digit(text[text.size() - 2]);
  const auto number = joined ? operand_at_end(text.substr(0, text.size() - 1)) : std::string_view{};
  const bool marker = number.empty() || !announces_value(text.substr(0, text.size() - 1 - number.size()));
  return marker ? "" : std::string(number) + last;
}

size_t digits_from(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - at;
}

std::string touching_right(std::string_view text) {
  if (text.empty()) return "";
  if (const size_t count = digits_from(text, 0)) return std::string(text.substr(0, count));
  const size_t count = digits_from(text, 1);
  if ((text[0] == '.' || text[0] == ':' || text[0] == '/') && count > 0) return std::string(text.substr(0, 1 + count));
  if (text[0] == ',' && count == 3) return std::string(text.substr(0, 4));
  for (const std::string_view sign : {"²", "³", "½", "¼", "¾", "⅓", "⅔", "π", "√"}) {
    if (text.starts_with(sign)) return std::string(sign);
  }
  if (text[0] == '_' && count > 0) return std::string(text.substr(0, 1 + count));  // a base
  if (text.starts_with("\\sqrt")) {
    const auto operand = text.substr(0, std::min(text.find_first_of(" .,;\n$"), text.size()));
    return operand.size() > 5 ? std::string(operand) : "";
  }
  if ((text[0] == '+' || text[0] == '*') && count > 0)
    return (text[0] == '*' ? "\\cdot " : "+") + std::string(text.substr(1, count));
  const char next = text.size() > 1 ? text[1] : ' ';
  if (is_lower(text[0]) && std::string_view("xyznki").find(text[0]) != std::string_view::npos && !is_letter(next) &&
      next != '\'')
    return std::string(1, text[0]);
  for (const std::string_view ending : {"th", "st", "nd", "rd"}) {
    if (text.starts_with(ending) && (text.size() == 2 || !is_letter(text[2])))
      return "\\text{" + std::string(ending) + "}";
  }
  return "";
}

std::string spaced_right(std::string_view text) {
  for (const Operator& candidate : kOperators) {
    if (candidate.latex.starts_with('^') || !text.starts_with(candidate.sign)) continue;
    const auto rest = text.substr(candidate.sign.size());
    const size_t at = std::min(rest.find_first_not_of(" $"), rest.size());
    const size_t count = digits_from(rest, at);
    if (count == 0 || (candidate.latex == "-" && at == 0)) return "";
    return std::string(candidate.latex) + std::string(rest.substr(at, count));
  }
  if (text.starts_with("π") || text.starts_with("\\pi")) return "\\pi";
  for (const std::string_view name : {"a.m.", "p.m.", "AM", "PM", "pm"}) {  // "am" is a word of German
    if (text.starts_with(name) && (name.size() == 4 || text.size() == 2 || !is_letter(text[2])))
      return "\\text{ " + lower(name.substr(0, 1)) + "m}";
  }
  const auto stop = [&](size_t at) {
    return at >= text.size() || std::string_view(".,;\n").find(text[at]) != std::string_view::npos;
  };
  if (text.starts_with("pi") && stop(2)) return "\\pi";
  if (!text.empty() && std::string_view("xyznk").find(text[0]) != std::string_view::npos && stop(1))
    return std::string(text.substr(0, 1));
  const size_t top = digits_from(text, 0);
  const size_t bottom = top > 0 && top < text.size() && text[top] == '/' ? digits_from(text, top + 1) : 0;
  return bottom > 0 ? " " + std::string(text.substr(0, top + 1 + bottom)) : "";
}

std::string right_of(std::string_view behind) {
  size_t at = 0;
  while (at < behind.size() && behind[at] == '$') ++at;
  if (behind.substr(at, 2) == "\\)") at += 2;
  const auto text = behind.substr(at, kFarthest);
  if (!text.starts_with(' ')) return touching_right(text);
  return spaced_right(text.substr(std::min(text.find_first_not_of(" $"), text.size())));
}

}  // namespace

Glue glue_round(std::string_view before, std::string_view behind) {
  Glue glue{.left = left_of(before), .right = ""};
  const bool list = !glue.left.empty() && std::string_view("([{").find(glue.left[0]) != std::string_view::npos &&
                    glue.left.ends_with(',');
  if (list) {
    const size_t close = behind.substr(0, kFarthest).find_first_of(")]}\n");
    if (close == std::string_view::npos || behind[close] == '\n') return {};
    std::string rest(behind.substr(0, close + 1));
    std::erase(rest, '$');
    return {.left = glue.left, .right = rest};
  }
  if (glue.left.ends_with("^{")) return {.left = glue.left, .right = behind.starts_with('}') ? "}" : ""};
  glue.right = right_of(behind);
  return glue;
}

}  // namespace grpo::verifier
