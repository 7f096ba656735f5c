#include "grpo/reward/verifier.h"

#include <flint/flint.h>

#include <algorithm>
#include <exception>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/reward/gold.h"
#include "reward/ast.h"
#include "reward/char_class.h"
#include "reward/compare.h"
#include "reward/extract.h"
#include "reward/lexer.h"
#include "reward/parser.h"
#include "reward/text_answer.h"
#include "reward/unicode.h"

namespace grpo::reward {
namespace {

using VerdictKind = Verdict::Kind;

// FLINT and Arb keep caches per thread; they go with the thread.
struct ThreadCaches {
  ~ThreadCaches() { flint_cleanup(); }
};

/// One answer: its text and the ways to read it as mathematics.
struct Reading {
  std::string text;          // through to_latex()
  std::vector<Ref> nodes;    // the usual reading first; empty when it is no mathematics
  std::string failure;       // why it is none
};

// "1000,99": a decimal comma, when nothing else in the text is a number.
std::optional<std::string> with_decimal_point(const std::string& text) {
  const size_t comma = text.find(',');
  if (comma == std::string::npos || comma == 0 || !is_digit(text[comma - 1])) return std::nullopt;
  size_t begin = comma;
  while (begin > 0 && is_digit(text[begin - 1])) --begin;
  size_t end = comma + 1;
  while (end < text.size() && is_digit(text[end])) ++end;
  if (end == comma + 1) return std::nullopt;
  const auto elsewhere = [](char c) { return is_digit(c) || c == ',' || c == '(' || c == '[' || c == '{' || c == '.'; };
  const bool alone = std::none_of(text.begin(), text.begin() + static_cast<long>(begin), elsewhere) &&
                     std::none_of(text.begin() + static_cast<long>(end), text.end(), elsewhere);
  const bool thousands = end - comma == 4 && text.substr(begin, comma - begin) != "0";
  if (!alone || thousands) return std::nullopt;
  std::string out = text;
  out[comma] = '.';
  return out;
}

// Decimal places behind the comma of such a number.
size_t places(const std::string& text) {
  const size_t comma = text.find(',');
  size_t end = comma + 1;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - comma - 1;
}

bool has_bare_comma_group(std::string_view text) {
  for (size_t i = 1; i + 3 < text.size(); ++i) {
    if (text[i] == ',' && is_digit(text[i - 1]) && is_digit(text[i + 1]) && is_digit(text[i + 2]) && is_digit(text[i + 3])) return true;
  }
  return false;
}

Reading read(std::string text, Arena& arena) {
  Reading reading{.text = std::move(text), .nodes = {}, .failure = ""};
  for (const bool commas_separate : {false, true}) {
    if (commas_separate && !has_bare_comma_group(reading.text)) break;
    try {
      reading.nodes.push_back(parse_answer(reading.text, arena, {.commas_separate = commas_separate}));
    } catch (const ParseError& error) {
      reading.failure = error.what();
    }
  }
  return reading;
}

void add_decimal_comma(Reading& reading, Arena& arena) {
  const auto other = with_decimal_point(reading.text);
  if (!other) return;
  const Reading extra = read(*other, arena);
  reading.nodes.insert(reading.nodes.end(), extra.nodes.begin(), extra.nodes.end());
}

/// Answers that are words, times, dates or choices. nullopt: mathematics decides.
std::optional<bool> compare_texts(const std::string& gold, const std::string& answer) {
  if (spelling_key(gold) == spelling_key(answer)) return true;
  if (const auto time = same_time(gold, answer)) return time;
  if (const auto date = same_date(gold, answer)) return date;
  const std::string plain = plain_text(gold);
  const bool letters = !plain.empty() && std::all_of(plain.begin(), plain.end(), is_letter);
  if (letters && plain == plain_text(answer)) return true;
  if (says_nothing_exists(gold) && says_nothing_exists(answer)) return true;
  const std::string key = word_key(gold);
  if (!key.empty() && is_wordy(gold) && key == word_key(answer)) return true;
  return std::nullopt;
}

class Judge {
 public:
  Judge(const VerifierConfig& config, Verdict& verdict)
      : config_(config), budget_(config.steps), arena_(budget_), policy_{config.decimal_digits, config.points}, verdict_(verdict) {}

  void run(std::string_view gold, std::string_view response) {
    const std::string gold_text = gold_answer(gold);
    verdict_.gold_parsed = gold_text.substr(0, kShown);
    if (is_gold_itself(gold, response)) {
      verdict_.pred_parsed = verdict_.gold_parsed;
      verdict_.rule = "whole";
      return conclude(VerdictKind::kRight, "");
    }
    const Extraction found = extract_answer(response, config_);
    verdict_.rule = found.rule;
    if (found.candidates.empty()) {
      verdict_.reason = found.reason;
      return;
    }
    const Reading answer = first_readable(found);
    verdict_.pred_parsed = shown(answer);
    const Reading gold_reading = read(gold_text, arena_);
    verdict_.gold_parsed = shown(gold_reading);
    decide(gold_reading, answer);
  }

 private:
  static constexpr size_t kShown = 2000;  // bytes of an answer in a report

  // The gold answer may be wrapped in a box, a sentence or dollar signs.
  std::string gold_answer(std::string_view gold) {
    if (gold.size() > 2 * kMaxAnswerBytes) throw OverBudget("the gold answer is too long");
    return to_latex(extract_gold(gold).text);
  }

  // The response is the gold answer word for word: a statement such as "AB=9, CD=4" needs no reading then.
  bool is_gold_itself(std::string_view gold, std::string_view response) const {
    const auto& fallbacks = config_.fallbacks;
    if (response.size() > kMaxAnswerBytes || std::find(fallbacks.begin(), fallbacks.end(), Fallback::kWhole) == fallbacks.end()) return false;
    const Boxes boxes = find_boxes(response);
    const std::string text = clean_answer(gold);
    return !text.empty() && boxes.complete.empty() && !boxes.last_unfinished && text == clean_answer(response);
  }

  // Of a box there is one reading. Of prose, the first that is mathematics; else the first, as text.
  Reading first_readable(const Extraction& found) {
    std::optional<Reading> first;
    for (const auto& candidate : found.candidates) {
      Reading reading = read(to_latex(candidate), arena_);
      const bool name = !reading.nodes.empty() && reading.nodes[0]->kind == Kind::kSymbol && reading.nodes[0]->text.size() > 1;
      if (!reading.nodes.empty() && !(name && found.candidates.size() > 1 && found.rule == "whole")) return reading;
      if (!first) first = std::move(reading);
    }
    return *first;
  }

  static std::string shown(const Reading& reading) {
    const std::string text = reading.nodes.empty() ? reading.text : to_text(reading.nodes[0]);
    return text.substr(0, kShown);
  }

  void conclude(VerdictKind kind, std::string reason) {
    verdict_.kind = kind;
    verdict_.reason = std::move(reason);
  }

  void decide(Reading gold, Reading answer) {
    if (const auto same = compare_texts(gold.text, answer.text)) {
      return conclude(*same ? VerdictKind::kRight : VerdictKind::kWrong, *same ? "" : "the answers differ");
    }
    if (const auto choice = compare_choices(gold, answer)) {
      return conclude(*choice ? VerdictKind::kRight : VerdictKind::kWrong, *choice ? "" : "another choice");
    }
    // "0,5" for 0.5: only against a number with a point; from gold's side only with two places, since "3,4" is a list.
    const bool gold_point = gold.text.find('.') != std::string::npos;
    const bool answer_point = answer.text.find('.') != std::string::npos;
    if (gold_point) add_decimal_comma(answer, arena_);
    if (answer_point && gold.text.find(',') != std::string::npos && places(gold.text) >= 2) add_decimal_comma(gold, arena_);
    if (any_same(gold, answer)) return conclude(VerdictKind::kRight, "");
    if (answer.nodes.empty() && !gold.nodes.empty()) return conclude(VerdictKind::kUnparsable, "the answer is no mathematics: " + answer.failure);
    conclude(VerdictKind::kWrong, "the answers differ");
  }

  bool any_same(const Reading& gold, const Reading& answer) {
    for (Ref left : gold.nodes) {
      for (Ref right : answer.nodes) {
        if (same_answer(left, right, policy_, arena_)) return true;
      }
    }
    return false;
  }

  bool same_rest(const std::string& gold, const std::string& answer) {
    return word_key(gold) == word_key(answer) || any_same(read(gold, arena_), read(answer, arena_));
  }

  // A letter decides; texts beside both letters must agree too. Against a gold value, the text of a choice counts.
  std::optional<bool> compare_choices(const Reading& gold, const Reading& answer) {
    const auto left = parse_choice(gold.text);
    const auto right = parse_choice(answer.text);
    if (left && right) {
      if (left->letter != right->letter) return left->marked || right->marked ? std::optional<bool>(false) : std::nullopt;
      if (!left->rest.empty() && !right->rest.empty()) return same_rest(left->rest, right->rest);
      return true;
    }
    if (left && !left->rest.empty()) return same_rest(left->rest, answer.text);
    if (right && !right->rest.empty() && !gold.nodes.empty()) return same_rest(gold.text, right->rest);
    return std::nullopt;
  }

  const VerifierConfig& config_;
  Budget budget_;
  Arena arena_;
  ScalarPolicy policy_;
  Verdict& verdict_;
};

}  // namespace

std::string to_string(Verdict::Kind kind) {
  switch (kind) {
    case VerdictKind::kRight: return "right";
    case VerdictKind::kWrong: return "wrong";
    case VerdictKind::kUnparsable: return "unparsable";
    case VerdictKind::kOverBudget: return "over-budget";
  }
  return "unparsable";
}

std::vector<Fallback> fallbacks_named(const std::vector<std::string>& names) {
  const auto known = enum_names(Fallback{});
  std::vector<Fallback> fallbacks;
  for (const auto& name : names) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      throw base::ConfigError("verifier fallback " + name + ": unknown" + base::did_you_mean(name, known) + "; known: " + base::join(known, ", "));
    }
    fallbacks.push_back(static_cast<Fallback>(found - known.begin()));
  }
  return fallbacks;
}

Verdict verify(std::string_view gold, std::string_view text, const VerifierConfig& config) {
  thread_local const ThreadCaches caches;
  Verdict verdict;
  try {
    Judge(config, verdict).run(gold, text);
  } catch (const OverBudget& error) {
    verdict.kind = VerdictKind::kOverBudget;
    verdict.reason = error.what();
  } catch (const std::exception& error) {
    verdict.kind = VerdictKind::kUnparsable;
    verdict.reason = error.what();
  }
  return verdict;
}

}  // namespace grpo::reward
