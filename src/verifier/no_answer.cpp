#include "verifier/no_answer.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "verifier/char_class.h"
#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

// Words with which an exercise begins and no answer does. "If", "let" and "for" are not among them: conditions of an
// answer begin so.
constexpr std::array<std::string_view, 24> kAsking = {
    "what", "which",    "who",       "whose",     "how",   "when",     "where",    "why",
    "find", "compute",  "calculate", "determine", "solve", "evaluate", "simplify", "prove",
    "show", "estimate", "给出",      "求",        "计算",  "证明",     "已知",     "解方程"};

constexpr std::array<std::string_view, 8> kQuestionEnds = {"?", "？", "吗", "多少", "几何", "何か", "か。", "؟"};

// At the end of a text each of these still waits for an operand. Plus and minus do not: Na^+, C++ and B- are answers.
constexpr std::array<std::string_view, 16> kWaiting = {"=", "*", "/",       "^",      "<",     ">",    "×",    "÷",
                                                       "≤", "≥", "\\times", "\\cdot", "\\div", "\\le", "\\ge", "("};

constexpr std::array<std::string_view, 4> kRecords = {"{\"", "{'", "[{", "['"};

// The text without $, full stops, colons and spaces at its end.
std::string without_end_marks(std::string text) {
  while (!text.empty() && (text.back() == '$' || text.back() == '.' || text.back() == ':' || is_space(text.back())))
    text.pop_back();
  return text;
}

template <size_t n>
bool ends_with_one_of(std::string_view text, const std::array<std::string_view, n>& ends) {
  return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return text.ends_with(end); });
}

// Whether the text ends in an operator behind an operand. "=" alone may be the answer: it fills a gap between numbers.
bool waits_for_an_operand(std::string_view text) {
  const auto end =
      std::find_if(kWaiting.begin(), kWaiting.end(), [&](std::string_view sign) { return text.ends_with(sign); });
  if (end == kWaiting.end()) return false;
  text.remove_suffix(end->size());
  return std::any_of(text.begin(), text.end(), [](char c) { return is_digit(c) || is_letter(c); });
}

bool asks(const std::string& text) {
  const std::string small = lower(text);
  return std::any_of(kAsking.begin(), kAsking.end(), [&](std::string_view word) {
    if (!small.starts_with(word)) return false;
    const bool whole = !is_letter(word.back()) || (small.size() > word.size() && is_space(small[word.size()]));
    return whole && small.size() > word.size() + 1;
  });
}

bool has_blank(std::string_view text) {
  return text.find("__") != std::string_view::npos || text.find("\\_\\_") != std::string_view::npos ||
         text.find("\\underline{\\hspace") != std::string_view::npos;
}

// Whether a group stays open. \{ and \} do not count: they stand round a set.
bool is_cut_off(std::string_view text) {
  int64_t open = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '{')
      ++open;
    else if (text[i] == '}')
      --open;
  }
  return open != 0;
}

}  // namespace

std::string why_no_answer(const std::string& gold) {
  const std::string text = without_end_marks(trim(gold));
  if (std::any_of(kRecords.begin(), kRecords.end(), [&](std::string_view record) { return text.starts_with(record); }))
    return "a record; name the field that holds the answer, as in data.answer_key: reward_model.ground_truth";
  if (is_cut_off(text)) return "a brace is not closed, so the text is cut off";
  if (has_blank(text)) return "a gap to be filled in: a problem instead of its answer";
  if (ends_with_one_of(text, kQuestionEnds) || asks(text)) return "a question: a problem instead of its answer";
  if (waits_for_an_operand(text)) return "ends in an operator: a problem instead of its answer";
  return "";
}

}  // namespace grpo::verifier
