#include "grpo/verifier/verifier.h"

#include <flint/flint.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <set>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/verifier/gold.h"
#include "verifier/ast.h"
#include "verifier/calculation.h"
#include "verifier/char_class.h"
#include "verifier/choice.h"
#include "verifier/compare.h"
#include "verifier/extract.h"
#include "verifier/implication.h"
#include "verifier/lexer.h"
#include "verifier/parser.h"
#include "verifier/quantity.h"
#include "verifier/text_answer.h"
#include "verifier/unicode.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

using VerdictKind = Verdict::Kind;

// FLINT and Arb keep caches per thread, which this frees when the thread ends.
struct ThreadCaches {
  ~ThreadCaches() { flint_cleanup(); }
};

/// One answer: its text and the ways to read it as mathematics.
struct Reading {
  std::string text;                   // through to_latex()
  std::vector<Statement> statements;  // the usual reading first; empty when it is no mathematics
  std::string failure;                // why it is no mathematics
};

// The text with a decimal point in place of the decimal comma of "1000,99". nullopt when the comma may group thousands
// or the text holds another number.
std::optional<std::string> with_decimal_point(std::string text) {
  if (const size_t braces = text.find("{,}"); braces != std::string::npos) text.replace(braces, 3, ",");
  const size_t comma = text.find(',');
  if (comma == std::string::npos || comma == 0 || !is_digit(text[comma - 1])) return std::nullopt;
  size_t begin = comma;
  while (begin > 0 && is_digit(text[begin - 1])) --begin;
  size_t end = comma + 1;
  while (end < text.size() && is_digit(text[end])) ++end;
  if (end == comma + 1) return std::nullopt;
  const auto elsewhere = [](char c) { return is_digit(c) || c == ',' || c == '(' || c == '[' || c == '{' || c == '.'; };
  const std::string_view behind = std::string_view(text).substr(end);
  const size_t words = behind.starts_with("\\text{") ? 6 : 0;  // 1,75\text{ litres}
  const bool alone = std::none_of(text.begin(), text.begin() + static_cast<long>(begin), elsewhere) &&
                     std::none_of(behind.begin() + static_cast<long>(words), behind.end(), elsewhere);
  const bool thousands = end - comma == 4 && text.substr(begin, comma - begin) != "0";
  if (!alone || thousands) return std::nullopt;
  text[comma] = '.';
  return text;
}

// A gold answer "11,13" is a list; "0,25" and "1000,99" are no lists anyone would write.
bool must_be_decimal_comma(const std::string& text) {
  const size_t comma = text.find(',');
  if (comma == std::string::npos) return false;
  size_t begin = comma;
  while (begin > 0 && is_digit(text[begin - 1])) --begin;
  const bool places = comma + 2 < text.size() && is_digit(text[comma + 1]) && is_digit(text[comma + 2]);
  return places && ((comma - begin == 1 && text[begin] == '0') || comma - begin >= 4);
}

// Whether a text such as "312,123,231" may be a list of three-digit numbers. When both answers are of this form, they
// are compared as lists, where the order does not count, rather than as numbers of nine digits.
bool is_list_of_hundreds(const std::string& text) {
  if (text.size() < 7 || text.size() % 4 != 3) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool fits = i % 4 == 3 ? text[i] == ',' : is_digit(text[i]) && (i % 4 > 0 || text[i] != '0');
    if (!fits) return false;
  }
  return true;
}

// The text without groups and boxes that enclose all of it.
std::string unwrapped(std::string text) {
  for (const std::string_view opener : {"{", "\\boxed{", "{", "\\boxed{"}) {
    if (!text.starts_with(opener)) continue;
    size_t at = opener.size();
    try {
      const std::string_view body = braced(text, at);
      if (at == text.size()) text = trim(body);
    } catch (const ParseError&) {
      return text;
    }
  }
  return text;
}

// "x (\\approx 0.17)" and "x \\text{ or approximately } 0.17" as the chain "x \\approx 0.17".
std::string with_approximation(std::string text) {
  for (const std::string_view words :
       {"\\text{ or approximately }", "\\text{ or about }", "\\text{or approximately }"}) {
    const size_t at = text.find(words);
    if (at != std::string::npos && at > 0) text.replace(at, words.size(), "\\approx ");
  }
  const size_t open = text.rfind("(\\approx");
  if (open != std::string::npos && open > 0 && text.ends_with(')') && text.find(')', open) + 1 == text.size()) {
    text.pop_back();
    text.erase(open, 1);
  }
  return text;
}

Reading read(std::string text, Arena& arena) {
  Reading reading{.text = with_approximation(unwrapped(std::move(text))), .statements = {}, .failure = ""};
  for (const bool commas_separate : {false, true}) {
    try {
      reading.statements.push_back(parse_statement(reading.text, arena, {.commas_separate = commas_separate}));
      break;
    } catch (const ParseError& error) {
      reading.failure = error.what();
    }
    if (reading.text.find(',') == std::string::npos) break;
  }
  return reading;
}

// The reading of an answer that may be a derivation. A gold answer with an implication is a statement and has to be met
// word for word.
Reading read_derived(std::string text, Arena& arena) {
  Reading reading = read(std::move(text), arena);
  const auto conclusion = conclusion_of(reading.text);
  if (reading.statements.empty() && !conclusion.empty())
    reading.statements = read(std::string(conclusion), arena).statements;
  return reading;
}

void add_decimal_comma(Reading& reading, Arena& arena) {
  const auto other = with_decimal_point(reading.text);
  if (!other) return;
  const Reading extra = read(*other, arena);
  reading.statements.insert(reading.statements.end(), extra.statements.begin(), extra.statements.end());
}

bool has_words(const std::string& text) {
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '\\') {
      if (text.compare(i, 5, "\\text") == 0 || text.compare(i, 5, "\\math") == 0 || text.compare(i, 5, "\\mbox") == 0)
        return true;
      ++i;
      while (i + 1 < text.size() && is_letter(text[i + 1])) ++i;
    } else if ((text[i] & 0x80) != 0 || (is_letter(text[i]) && is_letter(text[i + 1]))) {
      return true;
    }
  }
  return false;
}

bool same_text_key(const std::string& gold, const std::string& answer) {
  try {
    const std::string key = text_key(gold);
    return !key.empty() && key == text_key(answer);
  } catch (const ParseError&) {
    return false;
  }
}

// Whether both answers are the same single word. If one stands in \text, case does not count: "Odd", "\text{odd}".
// Words in capitals may name points and keep their case.
bool same_single_word(const std::string& gold, const std::string& answer) {
  const auto word_of = [](const std::string& text) {
    std::string word = plain_text(text);
    if (word.size() > 1 && word.ends_with('.')) word.pop_back();
    return word;
  };
  const std::string left = word_of(gold), right = word_of(answer);
  const auto letters = [](const std::string& word) {
    return !word.empty() && std::all_of(word.begin(), word.end(), is_letter);
  };
  if (!letters(left) || !letters(right)) return false;
  if (left == right) return true;
  if (is_one_of(lower(left), {"yes", "no", "true", "false"})) return lower(left) == lower(right);
  const auto is_word = [](const std::string& word) { return word.size() > 1 && !is_capitals(word); };
  const bool marked = gold.find("\\text") != std::string::npos || answer.find("\\text") != std::string::npos;
  return marked && is_word(left) && is_word(right) && lower(left) == lower(right);
}

// Whether a text is one word of capitals. HHT and BAC are letters in an order; ACD, in that of the alphabet, may be a
// selection of choices, whose order does not count.
bool is_capital_word(const std::string& text) {
  const std::string plain = plain_text(text);
  return plain.size() > 2 && plain.size() < 12 && std::all_of(plain.begin(), plain.end(), is_upper);
}

/// Answers that are words, times, dates or choices. nullopt: mathematics decides.
std::optional<bool> compare_texts(const std::string& gold, const std::string& answer) {
  const std::string gold_key = spelling_key(gold);
  const std::string answer_key = spelling_key(answer);
  if (gold_key == answer_key || with_bound_variable(gold_key) == with_bound_variable(answer_key)) return true;
  if (is_capital_word(gold) && is_capital_word(answer)) {
    const std::string letters = bare_selection(gold);
    if (plain_text(gold) == plain_text(answer)) return true;
    return !letters.empty() && letters == plain_text(gold) && letters == bare_selection(answer);
  }
  if (const auto time = same_time(gold, answer)) return time;
  if (is_clock_time(gold)) return false;  // 1:03 PM is no ratio
  if (const auto date = same_date(gold, answer)) return date;
  if (same_single_word(gold, answer)) return true;
  if (says_nothing_exists(gold) && says_nothing_exists(answer)) return true;
  if (says_infinitely_many(gold) && says_infinitely_many(answer)) return true;
  if (has_words(gold) && has_words(answer) && same_text_key(gold, answer)) return true;
  return std::nullopt;
}

class Judge {
 public:
  Judge(const VerifierOptions& options, Verdict& verdict)
      : options_(options),
        budget_(options.steps),
        arena_(budget_),
        policy_{options.decimal_digits, options.points},
        verdict_(verdict) {}

  void run(std::string_view gold, std::string_view response) {
    const std::string gold_text = gold_answer(gold);
    verdict_.gold_parsed = gold_text.substr(0, kShown);
    if (is_gold_itself(gold, response)) {
      verdict_.pred_parsed = verdict_.gold_parsed;
      verdict_.rule = "whole";
      return conclude(VerdictKind::kRight, "");
    }
    const Extraction found = extract_answer(response, options_);
    verdict_.rule = found.rule;
    stated_ = found.stated;
    if (found.candidates.empty()) {
      verdict_.reason = found.reason;
      return;
    }
    const Reading gold_reading = read(gold_text, arena_);
    const auto gold_choice = parse_choice(gold_reading.text);
    Reading answer = first_readable(found, gold_choice && gold_choice->rest.empty());
    if (is_left_to_do(answer) && !is_left_to_do(gold_reading) && !found.earlier.empty())
      answer = read(to_latex(found.earlier), arena_);
    verdict_.pred_parsed = shown(answer);
    verdict_.gold_parsed = shown(gold_reading);
    if (is_left_to_do(answer) && !is_left_to_do(gold_reading))
      return conclude(VerdictKind::kWrong, "a calculation, and not its result");
    if (found.asked && is_rewritten(gold_reading, answer))
      return conclude(VerdictKind::kWrong, "an expression that is asked for, and not what comes of it");
    decide(gold_reading, answer);
  }

 private:
  static constexpr size_t kShown = 2000;  // bytes of an answer in a report

  // The gold answer may be wrapped in a box, a sentence or dollar signs.
  std::string gold_answer(std::string_view gold) {
    if (gold.size() > 2 * kMaxAnswerBytes) throw OverBudget("the gold answer is too long");
    return to_latex(extract_gold(gold).text);
  }

  // Whether the response is the gold answer word for word. Then even a statement such as "AB=9, CD=4" needs no reading.
  bool is_gold_itself(std::string_view gold, std::string_view response) const {
    const auto& fallbacks = options_.fallbacks;
    if (response.size() > kMaxAnswerBytes ||
        std::find(fallbacks.begin(), fallbacks.end(), Fallback::kWhole) == fallbacks.end())
      return false;
    const Boxes boxes = find_boxes(response);
    const std::string text = clean_answer(gold);
    const bool struck = response.find("~~") != std::string_view::npos;
    return !text.empty() && boxes.complete.empty() && !boxes.last_unfinished && !struck &&
           text == clean_answer(response);
  }

  // A text that repeats the problem has an expression of the right value, too: only where it states an answer may that
  // be left to be done. A text that is nothing but an expression does not state it, yet 2^{10} may well be one.
  bool is_left_to_do(const Reading& reading) const {
    if (reading.statements.empty() || (stated_ && options_.calculations)) return false;
    const Ref answer = reading.statements[0].node;
    const bool whole = verdict_.rule == "whole" && options_.calculations;
    return whole ? is_calculation(answer) : is_calculation_or_operation(answer);
  }

  // Whether an answer with names is another expression than gold: (x+1)^2 of "We need (x+1)^2", where gold is expanded.
  static bool is_rewritten(const Reading& gold, const Reading& answer) {
    if (gold.statements.empty() || answer.statements.empty()) return false;
    const Ref left = gold.statements[0].node, right = answer.statements[0].node;
    std::set<std::string> names;
    collect_symbols(right, names);
    const bool units =
        std::all_of(names.begin(), names.end(), [](const std::string& name) { return find_unit(name).has_value(); });
    return right->kind < Kind::kList && !units && canonical_text(left) != canonical_text(right);
  }

  // A box has one reading. Of several readings of prose, the first that is mathematics and no calculation counts; if
  // none is, the first. Where gold is a letter (`for_letter`), a choice with its text counts, too.
  Reading first_readable(const Extraction& found, bool for_letter) {
    std::optional<Reading> first;
    for (const auto& candidate : found.candidates) {
      Reading reading = read_derived(to_latex(candidate), arena_);
      const bool name = !reading.statements.empty() && is_plain_name(reading.statements[0].node);
      const bool other_reading = name && found.candidates.size() > 1 &&
                                 (found.rule == "whole" || holds_number(reading.statements[0].node->text));
      if (for_letter && !first && found.rule != "box" && is_marked_choice(reading.text)) return reading;
      if (!reading.statements.empty() && found.rule != "box") drop_remark(reading.statements[0].node);
      if (!reading.statements.empty() && !other_reading && !(found.candidates.size() > 1 && is_left_to_do(reading)))
        return reading;
      if (!first) first = std::move(reading);
    }
    return *first;
  }

  // "B. $12$", "(B) The slope is positive": the letter decides, whatever follows it.
  static bool is_marked_choice(const std::string& text) {
    const auto choice = parse_choice(text);
    return choice && choice->settled && choice->marked && choice->letters.size() == 1 && !choice->rest.empty();
  }

  // "The total is $64 (8 * $5 + 8 * $3)" says in brackets how 64 came about. It is no product.
  void drop_remark(Ref& node) {
    const bool product = node->kind == Kind::kMul && node->kids.size() == 2 && node->kids[0]->kind == Kind::kNumber;
    if (!product || !node->kids[1]->parenthesized || !is_calculation(node->kids[1])) return;
    if (same_quantities(node->kids[0], node->kids[1], policy_, arena_)) node = node->kids[0];
  }

  // A sentence of a script without spaces, 小明有5个苹果, is one word to the lexer.
  static bool holds_number(const std::string& word) {
    return std::any_of(word.begin(), word.end(), is_digit) &&
           std::any_of(word.begin(), word.end(), [](char c) { return (c & 0x80) != 0; });
  }

  static bool is_plain_name(Ref node) { return node->kind == Kind::kSymbol && node->text.size() > 1; }

  static std::string shown(const Reading& reading) {
    const std::string text = reading.statements.empty() ? reading.text : to_text(reading.statements[0].node);
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
    // "3,5" may mean 3.5, but only against a number with a point; in the gold answer only where it cannot be a list.
    const bool gold_point = gold.text.find('.') != std::string::npos;
    const bool answer_point = answer.text.find('.') != std::string::npos;
    if (gold_point) add_decimal_comma(answer, arena_);
    if (answer_point && must_be_decimal_comma(gold.text)) add_decimal_comma(gold, arena_);
    if (is_list_of_hundreds(gold.text) && is_list_of_hundreds(answer.text)) {
      gold = read_list(gold.text);
      answer = read_list(answer.text);
    }
    if (any_same(gold, answer)) return conclude(VerdictKind::kRight, "");
    if (answer.statements.empty() && !gold.statements.empty())
      return conclude(VerdictKind::kUnparsable, "the answer is no mathematics: " + answer.failure);
    conclude(VerdictKind::kWrong, "the answers differ");
  }

  Reading read_list(const std::string& text) {
    return {.text = text, .statements = {parse_statement(text, arena_, {.commas_separate = true})}, .failure = ""};
  }

  bool any_same(const Reading& gold, const Reading& answer) {
    for (const Statement& left : gold.statements) {
      for (const Statement& right : answer.statements) {
        if (!agree(left.condition, left.node, right.condition, right.node)) continue;
        const Ref renamed = rename_parameter(right.node, right.condition, left.condition, arena_);
        if (same_answer(left.node, renamed, policy_, arena_)) return true;
      }
    }
    return false;
  }

  bool same_rest(const std::string& gold, const std::string& answer) {
    return compare_texts(gold, answer).value_or(false) || any_same(read(gold, arena_), read(answer, arena_));
  }

  // The letters of two choices decide; if both also give the text of the choice, the texts must agree. If only one side
  // is a choice, its text is compared with the value of the other side.
  std::optional<bool> compare_choices(const Reading& gold, const Reading& answer) {
    const auto left = parse_choice(gold.text);
    const auto right = parse_choice(answer.text);
    const bool letter = left && left->letters.size() == 1 && left->rest.empty();
    if (const char led = letter && !right ? leading_letter(answer.text) : ' '; led != ' ')
      return led == left->letters[0];
    if (left && right) return same_choices(*left, *right);
    if (left && !left->settled) return std::nullopt;
    if (right && !bare_selection(gold.text).empty())
      return right->settled && right->letters == bare_selection(gold.text);
    if (left && !bare_selection(answer.text).empty()) return left->letters == bare_selection(answer.text);
    if (left && !left->rest.empty()) return same_rest(left->rest, answer.text);
    const bool text_of_choice = right && !right->rest.empty() && right->settled;
    if (text_of_choice && same_rest(gold.text, right->rest)) return true;
    return std::nullopt;
  }

  // The letter of "B (12)", where a value in brackets ends the answer; else a space. C(7,3) is no choice.
  static char leading_letter(const std::string& text) {
    const std::string plain = plain_text(text);
    const bool form = plain.size() > 4 && plain[0] >= 'A' && plain[0] <= 'J' && plain.compare(1, 2, " (") == 0;
    if (!form || plain.find(')') + 1 != plain.size()) return ' ';
    return std::any_of(plain.begin(), plain.end(), is_digit) ? plain[0] : ' ';
  }

  std::optional<bool> same_choices(const Choice& left, const Choice& right) {
    if (left.settled != right.settled) return false;
    if (left.letters != right.letters) return left.marked || right.marked ? std::optional<bool>(false) : std::nullopt;
    if (!left.rest.empty() && !right.rest.empty()) return same_rest(left.rest, right.rest);
    return true;
  }

  const VerifierOptions& options_;
  Budget budget_;
  Arena arena_;
  ScalarPolicy policy_;
  Verdict& verdict_;
  bool stated_ = true;  // Extraction::stated
};

}  // namespace

std::string to_string(Verdict::Kind kind) {
  switch (kind) {
    case VerdictKind::kRight:
      return "right";
    case VerdictKind::kWrong:
      return "wrong";
    case VerdictKind::kUnparsable:
      return "unparsable";
    case VerdictKind::kOverBudget:
      return "over-budget";
  }
  return "unparsable";
}

std::vector<Fallback> fallbacks_named(const std::vector<std::string>& names) {
  const auto known = enum_names(Fallback{});
  std::vector<Fallback> fallbacks;
  for (const auto& name : names) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      throw base::ConfigError("verifier fallback " + name + ": unknown" + base::did_you_mean(name, known) +
                              "; known: " + base::join(known, ", "));
    }
    fallbacks.push_back(static_cast<Fallback>(found - known.begin()));
  }
  return fallbacks;
}

Verdict verify(std::string_view gold, std::string_view text, const VerifierOptions& options) {
  thread_local const ThreadCaches caches;
  Verdict verdict;
  try {
    Judge(options, verdict).run(gold, text);
  } catch (const OverBudget& error) {
    verdict.kind = VerdictKind::kOverBudget;
    verdict.reason = error.what();
  } catch (const std::exception& error) {
    verdict.kind = VerdictKind::kUnparsable;
    verdict.reason = error.what();
  }
  return verdict;
}

}  // namespace grpo::verifier
