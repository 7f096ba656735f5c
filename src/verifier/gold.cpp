#include "grpo/verifier/gold.h"

#include <algorithm>
#include <array>
#include <optional>

#include "verifier/char_class.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"
#include "verifier/no_answer.h"
#include "verifier/unicode.h"

namespace grpo::verifier {
namespace {

using VerdictKind = Verdict::Kind;

// Words of a sentence that leads to its formula and says nothing else.
constexpr std::array<std::string_view, 34> kLeading = {
    "so",     "thus", "hence", "therefore", "then",     "we",     "get",    "have",   "obtain",
    "find",   "that", "it",    "follows",   "this",     "gives",  "which",  "yields", "the",
    "answer", "is",   "value", "of",        "final",    "result", "equals", "and",    "finally",
    "our",    "must", "be",    "are",       "solution", "a",      "an"};

struct Words {
  size_t count = 0;
  bool all_lead = true;
};

// The position behind the TeX command whose backslash stands at `at`; \begin{...} and \end{...} are taken whole.
size_t behind_command(std::string_view text, size_t at) {
  const size_t begin = ++at;
  while (at < text.size() && is_letter(text[at])) ++at;
  const std::string_view name = text.substr(begin, at - begin);
  const size_t close = name == "begin" || name == "end" ? text.find('}', at) : std::string_view::npos;
  return close == std::string_view::npos ? at : close + 1;
}

// Counts the words of a text; TeX commands are no words.
Words words_of(std::string_view text) {
  Words words;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\\') {
      i = behind_command(text, i);
      continue;
    }
    const size_t begin = i;
    while (i < text.size() && is_letter(text[i])) ++i;
    if (i == begin) {
      ++i;
      continue;
    }
    ++words.count;
    const std::string word = lower(text.substr(begin, i - begin));
    words.all_lead = words.all_lead && std::find(kLeading.begin(), kLeading.end(), word) != kLeading.end();
  }
  return words;
}

// "So $x=7$.": the one formula of a sentence that only leads to it.
std::optional<std::string> only_formula(const std::string& text) {
  if (std::count(text.begin(), text.end(), '$') != 2) return std::nullopt;
  const size_t open = text.find('$');
  const size_t close = text.rfind('$');
  const std::string around = text.substr(0, open) + " " + text.substr(close + 1);
  const Words words = words_of(around);
  const bool bare = std::none_of(around.begin(), around.end(), [](char c) { return is_digit(c) || c == '\\'; });
  if (!bare || words.count == 0 || !words.all_lead) return std::nullopt;
  return text.substr(open + 1, close - open - 1);
}

std::string answer_tag_of(std::string_view text) {
  VerifierOptions options;
  options.fallbacks = {Fallback::kAnswerTag};
  const Extraction found = extract_answer(text, options);
  return found.candidates.empty() ? "" : found.candidates.front();
}

// Whether a text has several lines, or at least four words and a full stop: nobody would box it as an answer.
bool is_sentence(const std::string& text) {
  const std::string trimmed = trim(text);
  return trimmed.find('\n') != std::string::npos || (trimmed.ends_with('.') && words_of(trimmed).count >= 4);
}

std::string core_of(const std::string& text) {
  size_t at = 0;
  const std::string math = last_math(text, at);
  return math.empty() ? last_value(text, at) : math;
}

Verdict verify_boxed(const std::string& gold, const std::string& answer, const VerifierOptions& options) {
  return verify(gold, "\\boxed{" + answer + "}", options);
}

Verdict check_gold(const std::string& gold, const VerifierOptions& options) {
  const GoldAnswer found = extract_gold(gold);
  Verdict verdict = verify_boxed(gold, found.text, options);
  if (std::string reason = why_no_answer(found.text); !reason.empty()) {
    if (verdict.kind == VerdictKind::kRight) verdict.kind = VerdictKind::kUnparsable;
    verdict.reason = std::move(reason);
    return verdict;
  }
  if (verdict.kind != VerdictKind::kRight || found.rule != "whole" || !is_sentence(gold)) return verdict;
  const std::string core = core_of(gold);
  if (core.empty()) return verdict;
  verdict = verify_boxed(gold, core, options);
  verdict.reason = "a sentence in which no rule finds the answer; \\boxed{" + core + "} would be judged wrong";
  return verdict;
}

// A numeric reward reads the last number of a response, so the gold answer has to be a number that last_value() finds,
// either as the data spells it or as the verifier does.
Verdict check_number(const std::string& gold, const VerifierOptions& options) {
  Verdict verdict = check_gold(gold, options);
  if (verdict.kind != VerdictKind::kRight) return verdict;
  for (const std::string& spelling : {extract_gold(gold).text, verdict.gold_parsed}) {
    size_t at = 0;
    const std::string number = last_value(to_latex(spelling), at);
    if (!number.empty() && verify(gold, "\\boxed{" + number + "}", options).kind == VerdictKind::kRight) return verdict;
  }
  verdict.kind = VerdictKind::kUnparsable;
  verdict.reason = "no number, which is all that a numeric reward reads";
  return verdict;
}

Verdict check_as(GoldUse use, const std::string& gold, const VerifierOptions& options) {
  if (use == GoldUse::kText)
    return {.kind = VerdictKind::kRight, .gold_parsed = gold, .pred_parsed = gold, .rule = "exact", .reason = ""};
  return use == GoldUse::kNumber ? check_number(gold, options) : check_gold(gold, options);
}

bool is_missing(const std::string& gold, const std::vector<std::string>& placeholders) {
  return trim(gold).empty() || is_placeholder(gold, placeholders);
}

}  // namespace

GoldAnswer extract_gold(std::string_view gold) {
  const std::string text(gold);
  const Boxes boxes = find_boxes(text);
  bool several = false;
  if (!boxes.complete.empty()) return {clean_answer(final_boxes(text, boxes.complete, several)), "box"};
  if (text.find("<answer>") != std::string::npos) {
    if (auto content = answer_tag_of(gold); !content.empty()) return {std::move(content), "answer tag"};
  }
  if (const size_t hashes = text.rfind("####"); hashes != std::string::npos)
    return {clean_answer(text.substr(hashes + 4)), "####"};
  size_t at = 0;
  if (const std::string sentence = behind_answer_phrase(text, at); !sentence.empty())
    return {clean_answer(sentence), "phrase"};
  if (const auto formula = only_formula(text)) return {clean_answer(*formula), "math"};
  return {clean_answer(text), "whole"};
}

const std::vector<std::string>& default_placeholders() {
  static const std::vector<std::string> names = {"proof",     "nan",     "none",    "null",     "na",
                                                 "n/a",       "<na>",    "nil",     "notfound", "not found",
                                                 "no answer", "missing", "unknown", "tbd"};
  return names;
}

bool is_placeholder(std::string_view gold, const std::vector<std::string>& placeholders) {
  std::string text = trim(gold);
  for (const std::string_view wrapper : {"\\boxed{", "\\text{"}) {
    if (text.starts_with(wrapper) && text.ends_with('}'))
      text = trim(text.substr(wrapper.size(), text.size() - wrapper.size() - 1));
  }
  while (text.ends_with('.')) text.pop_back();
  return std::any_of(placeholders.begin(), placeholders.end(),
                     [&](const std::string& name) { return lower(text) == lower(name); });
}

Verdict verify_any(const std::vector<std::string>& golds, std::string_view text, const VerifierOptions& options) {
  Verdict first;
  for (size_t i = 0; i < golds.size(); ++i) {
    Verdict verdict = verify(golds[i], text, options);
    if (verdict.kind == VerdictKind::kRight) return verdict;
    if (i == 0) first = std::move(verdict);
  }
  return first;
}

std::vector<BadGold> check_golds(const std::vector<std::vector<std::string>>& golds,
                                 const std::vector<std::string>& placeholders, const VerifierOptions& options,
                                 GoldUse use) {
  static const std::vector<std::string> kEveryTextIsAnAnswer;
  const auto& missing_names = use == GoldUse::kText ? kEveryTextIsAnAnswer : placeholders;
  std::vector<BadGold> bad;
  if (use == GoldUse::kNone) return bad;
  for (size_t i = 0; i < golds.size(); ++i) {
    std::optional<BadGold> worst;
    bool right = false;
    for (const auto& gold : golds[i]) {
      BadGold one{.index = i, .missing = is_missing(gold, missing_names), .verdict = {}};
      if (!one.missing) one.verdict = check_as(use, gold, options);
      right = right || (!one.missing && one.verdict.kind == VerdictKind::kRight);
      if (one.missing) one.verdict.reason = trim(gold).empty() ? "there is none" : "a placeholder for a missing answer";
      if (!worst || (worst->missing && !one.missing)) worst = std::move(one);
    }
    if (!right && worst) bad.push_back(std::move(*worst));
  }
  return bad;
}

}  // namespace grpo::verifier
