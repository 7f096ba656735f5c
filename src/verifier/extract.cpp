#include "verifier/extract.h"

#include <algorithm>

#include "verifier/alternative.h"
#include "verifier/budget.h"
#include "verifier/change.h"
#include "verifier/char_class.h"
#include "verifier/choice.h"
#include "verifier/denial.h"
#include "verifier/find_last.h"
#include "verifier/lexer.h"
#include "verifier/parser.h"
#include "verifier/response.h"
#include "verifier/retraction.h"
#include "verifier/stated_choice.h"
#include "verifier/unicode.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

constexpr size_t kMaxWhole = 4000;  // bytes of a response that may be one expression

bool mentions(const std::string& low, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return low.find(word) != std::string::npos; });
}

bool gives_up(const std::string& low) {
  return mentions(low, {"don't know", "do not know", "cannot ", "can't ", "could not ", "couldn't ", "unable",
                        "not sure", "unsure", "give up", "no answer", "no idea", "impossible to", "not possible to"});
}

// "The problem is 98 + 77", "The first thing to do is 98 + 77", "We want 98 + 77"
bool states_a_problem(std::string_view sentence) {
  const std::string low = " " + lower(sentence);
  return mentions(low, {" problem", " task", " question", " exercise", " to do", " to find", " to compute",
                        " to calculate", " to evaluate", " to add", " need ", " want "});
}

// "Answer:" in front of a whole solution: prose, and more text behind it.
bool heads_a_solution(std::string_view text, size_t phrase, const std::string& sentence) {
  if (phrase == std::string_view::npos || sentence.empty()) return false;
  const bool first = text.substr(0, phrase).find_first_not_of(" \n*#_") == std::string_view::npos;
  const size_t end = text.find(sentence, phrase) + sentence.size();
  const auto rest = text.substr(std::min(end, text.size()));
  const std::string clean = clean_answer(sentence);
  const size_t spaces = static_cast<size_t>(std::count(clean.begin(), clean.end(), ' '));
  const bool value = !clean.empty() && (is_digit(clean[0]) || clean[0] == '$') && spaces < 3;  // "Answer: 18 apples"
  const bool line = value && (rest.empty() || rest[0] == '\n' || rest[0] == '*') && rest.find('=') == std::string::npos;
  return first && !line && is_prose(sentence) && std::any_of(rest.begin(), rest.end(), is_digit);
}

// Whether the end of a text asks for something: "How many chairs are there?", "Find all x such that f(x) = 3."
bool asks(std::string_view text) {
  text = trimmed(text);
  bool question = false;
  while (!text.empty() && std::string_view(" .?*$").find(text.back()) != std::string_view::npos) {
    question = question || text.back() == '?';
    text.remove_suffix(1);
  }
  const std::string low = lower(last_sentence(text));
  static constexpr std::string_view kQuestions[] = {"how many ", "how much ", "what is ",    "what are ",
                                                    "what was ", "which ",    "what percent"};
  static constexpr std::string_view kCommands[] = {"find ", "determine ", "compute ", "evaluate "};
  const auto begins = [&](std::string_view words) { return low.starts_with(words); };
  const bool command = std::any_of(std::begin(kCommands), std::end(kCommands), begins);
  const bool given = low.find('=') == std::string::npos || mentions(low, {" such that ", " if ", " where "});
  if (low.find(':') != std::string::npos) return false;
  return command ? question || given : question && std::any_of(std::begin(kQuestions), std::end(kQuestions), begins);
}

// Whether the lower-case end of a text is a verb or sign behind which a value is stated.
bool ends_in_verb(std::string_view low) {
  static constexpr std::string_view kVerbs[] = {" is",  " are",     " equals",     " equal to",      " gives", " give",
                                                " get", " becomes", " reduces to", " simplifies to", "="};
  return std::any_of(std::begin(kVerbs), std::end(kVerbs), [&](std::string_view verb) { return low.ends_with(verb); });
}

// Whether a text goes on with a value that it states: "The result is ", "This equals $".
bool introduces_value(std::string_view before) {
  while (!before.empty() && (is_space(before.back()) || before.back() == '$' || before.back() == '*'))
    before.remove_suffix(1);
  if (before.ends_with("\\(") || before.ends_with("\\[")) before = trimmed(before.substr(0, before.size() - 2));
  const auto sentence = last_sentence(before);
  if (is_hypothesis(sentence) || states_a_problem(sentence)) return false;
  // "The expression is 98 + 77", "This is 98 + 77"
  if (mentions(" " + lower(sentence),
               {" expression", " equation", " operation", " calculation", " this is", " here is"}))
    return false;
  const std::string low = " " + lower(before.substr(before.size() > 12 ? before.size() - 12 : 0));
  if (low.ends_with(" to get") || low.ends_with(" to give")) return false;
  if (low.ends_with(':')) return mentions(lower(sentence), {"answer", "result", "value", "total", "solution"});
  return ends_in_verb(low);
}

// "We need (x+1)^2" and "The problem is (x+1)^2", but not "The polynomial we want is x^2 + 3x + 2", which states it.
bool asks_for_value(std::string_view before) {
  constexpr size_t kTail = 24;  // bytes, longer than a subject and its verb
  const auto end = trimmed(before.substr(0, before.find_last_not_of(" $*") + 1));
  const std::string low = lower(end.substr(end.size() > kTail ? end.size() - kTail : 0));
  const auto asked = [&](std::string_view subject) { return low.ends_with(subject); };
  static constexpr std::string_view kAsked[] = {"problem is",  "task is", "question is",
                                                "exercise is", "job is",  "goal is"};
  return states_a_problem(last_sentence(before)) &&
         (!ends_in_verb(low) || std::any_of(std::begin(kAsked), std::end(kAsked), asked));
}

// Whether a text is a choice and nothing else: "选C", "Option C".
bool is_bare_choice(const std::string& text) {
  const auto choice = parse_choice(to_latex(text));
  return choice && choice->settled && choice->marked && choice->rest.empty();
}

Extraction none(std::string rule, std::string reason) {
  return {.candidates = {}, .rule = std::move(rule), .reason = std::move(reason)};
}

std::string answer_tag(std::string_view text) {
  const size_t close = find_last(text, "</answer>");
  const size_t open = find_last(text, "<answer>", close);
  if (open == std::string_view::npos || close == std::string_view::npos || open > close) return "";
  return trim(text.substr(open + 8, close - open - 8));
}

// Another final answer that the text states behind its last box: "... \\boxed{5}. That is wrong. The answer is 7."
std::vector<std::string> later_statement(std::string_view behind) {
  size_t at = 0;
  const std::string sentence = behind_answer_phrase(behind, at);
  const std::string low = " " + lower(sentence);
  const bool value = std::any_of(sentence.begin(), sentence.end(), is_digit) || sentence.find('$') != std::string::npos;
  if (hedges(sentence) || sentence.find('?') != std::string::npos) return {};
  if (const std::string letter = chosen_letter(sentence); !letter.empty()) return {letter};
  if (!value) return {};
  if (mentions(low, {"approx", " about ", "roughly", " around ", "\\approx", "≈", " if ", " box", "same", "above"}))
    return {};
  const std::string clean = clean_answer(sentence);
  size_t end = 0;
  const std::string math = last_math(clean, end);
  if (is_prose(to_latex(clean)))
    return math.empty() ? std::vector<std::string>{} : std::vector<std::string>{clean_answer(math)};
  return {clean};
}

// The value that a text ends with, without what it was calculated from: 18 of "9 * 2 = 18".
std::string result_at_end(std::string_view text) {
  size_t at = 0;
  const std::string value = last_value(text, at);
  return trim(std::string_view(value).substr(value.rfind('=') + 1));
}

// Whether the text doubts or replaces the answer in `sentence`, which it states behind `at`: "The answer is 5? I doubt
// it.", "... 5. Actually it is 6.", "5, no wait, 6".
bool is_taken_back(const std::string& text, const std::string& sentence, size_t at) {
  const std::string low = " " + lower(sentence) + " ";
  if (mentions(low, {", no ", ", no,", " no wait", " wait,", "hmm", " otherwise", " actually", " i mean", "oops",
                     " scratch that"}))
    return true;
  const size_t begin = text.find(sentence, at);
  const size_t end = begin == std::string::npos ? at : begin + sentence.size();
  if (end >= text.size()) return false;
  if (text[end] == '?' || is_retracted(sentence, std::string_view(text).substr(end))) return true;
  const std::string rest = lower(std::string_view(text).substr(end, 120));
  const size_t first = rest.find_first_not_of(".!$* \n");
  if (first == std::string::npos || rest.find_first_of("0123456789", first) == std::string::npos) return false;
  static constexpr std::string_view kTurns[] = {"actually", "correction", "wait",    "hmm",    "no,",
                                                "no ",      "but ",       "however", "oops",   "sorry",
                                                "scratch",  "i mean",     "rather,", "instead"};
  const bool turns = std::any_of(std::begin(kTurns), std::end(kTurns),
                                 [&](std::string_view turn) { return rest.compare(first, turn.size(), turn) == 0; });
  return turns && result_at_end(sentence) != result_at_end(std::string_view(text).substr(end));
}

// "$30$, but that is wrong", "$30$; just kidding"
bool denies_its_formula(const std::string& sentence) {
  size_t end = 0;
  if (last_math(sentence, end).empty()) return false;
  const auto behind = std::string_view(sentence).substr(std::min(end, sentence.size()));
  return denied_behind(behind) ||
         mentions(lower(behind), {"which is wrong", "but that is wrong", " kidding", " lying", " false statement"});
}

// "x = 4" and "y = 5" on two lines, or numbers on lines of their own, as one list; any other text as it is, also the
// steps "x = 2 + 3", "x = 5".
std::string lines_as_list(const std::string& text) {
  if (text.find('\n') == std::string::npos || text.find("\\begin") != std::string::npos) return text;
  std::string list;
  std::string names;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const auto line = trimmed(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    if (line.empty()) continue;
    const bool number = line.find_first_not_of("0123456789.,/-") == std::string_view::npos;
    const bool named = line.size() > 2 && is_letter(line[0]) && trimmed(line.substr(1)).starts_with('=') &&
                       names.find(line[0]) == std::string::npos;
    if (!number && !named) return text;
    if (named) names += line[0];
    list += (list.empty() ? "" : ", ") + std::string(line);
  }
  return list;
}

// Whether a text has several lines that are equations, the steps to an answer.
bool is_derivation(std::string_view text) {
  if (text.find("\\begin") != std::string_view::npos) return false;
  const size_t last = text.rfind('\n');
  if (last == std::string_view::npos || text.find('=') > text.find('\n')) return false;
  const auto line = trimmed(text.substr(last));
  return line.find('=') != std::string_view::npos && !line.starts_with('=');
}

Extraction from_boxes(const std::string& text, const Boxes& boxes) {
  if (boxes.last_unfinished) return none("box", "the last box never closes: the response was cut off");
  auto later = later_statement(std::string_view(text).substr(boxes.complete.back().end));
  const Box& written = boxes.complete.back();
  const bool retracted =
      is_retracted(std::string_view(text).substr(written.content_begin, written.content_end - written.content_begin),
                   std::string_view(text).substr(written.end));
  const auto standing = retracted ? std::vector<Box>{} : undenied(text, boxes.complete);
  if (standing.empty() && later.empty()) return none("box", "the text denies its box");
  Extraction out;
  out.rule = later.empty() ? "box" : "phrase";
  out.candidates = std::move(later);
  if (standing.empty()) return out;
  const Box& last = standing.back();
  const auto before_run = std::string_view(text).substr(0, standing[run_begin(text, standing)].begin);
  if (box_changed(before_run, std::string_view(text).substr(last.end)))
    return none("box", "words round the box change its value");
  bool several = false;
  std::string content = clean_answer(final_boxes(text, standing, several));
  if (content.empty()) return none("box", "the box is empty");
  if (several && out.candidates.empty()) out.rule = "boxes";
  size_t first = 0;
  content = items_before(before_run, first) + content;  // "The roots are 3 and \\boxed{5}"
  const auto behind = std::string_view(text).substr(last.end);
  const bool letter = !chosen_letter(content).empty();
  if (const std::string other = alternative_behind(behind, letter); !other.empty())
    content += (other.find('.') == std::string::npos ? " \\text{ or } " : " \\approx ") + other;
  // The value in the box, its letter outside: "\\boxed{12} (Option B)", "\\boxed{12}. The answer is B."
  const bool labelled = letter || parse_choice(to_latex(content));
  const bool letter_later = !out.candidates.empty() && !chosen_letter(out.candidates[0]).empty();
  std::string choice;
  if (!labelled) choice = letter_later ? out.candidates[0] : out.candidates.empty() ? choice_behind(behind) : "";
  if (!choice.empty()) out.candidates = {choice + " " + content};
  if (choice.empty()) out.candidates.push_back(std::move(content));
  return out;
}

// The text of a quoted line of Markdown, "> 12"; other text comes back without spaces at its ends.
std::string_view unquoted(std::string_view text) {
  const auto line = trimmed(text);
  return line.starts_with("> ") && line.find('\n') == std::string_view::npos ? trimmed(line.substr(2)) : line;
}

Extraction from_fallback(Fallback fallback, const std::string& text) {
  size_t at = 0;
  switch (fallback) {
    case Fallback::kAnswerTag: {
      const std::string content = answer_tag(text);
      if (content.empty()) return {};
      if (is_retracted(content, std::string_view(text).substr(find_last(text, "</answer>") + 9)))
        return none("answer tag", "the text takes its answer back");
      auto readings = sentence_readings(content);
      size_t phrase = 0;
      const std::string behind = behind_answer_phrase(content, phrase);
      if (!behind.empty()) readings = sentence_readings(behind);
      return {.candidates = readings, .rule = "answer tag", .reason = ""};
    }
    case Fallback::kPhrase: {
      const std::string sentence = behind_answer_phrase(text, at);
      if (const std::string choice = sentence.empty() ? named_choice(text) : "";
          !choice.empty() && !gives_up(lower(text)))
        return {.candidates = {choice}, .rule = "phrase", .reason = ""};
      if (!sentence.empty() && is_taken_back(text, sentence, at))
        return none("phrase", "the text takes its answer back");
      const auto before = std::string_view(text).substr(0, sentence.empty() ? 0 : text.find(sentence, at));
      if (!sentence.empty() && (denied_before(before) || denies_its_formula(sentence)))
        return none("phrase", "the text denies its answer");
      if (!sentence.empty() && speaks_of_the_answer(before))
        return none("phrase", "words make something else of the answer");
      // A "####" behind the phrase is the later statement and decides.
      const size_t hashes = find_last(text, "####");
      if (heads_a_solution(text, at, sentence)) return {};
      if (sentence.empty() || (hashes != std::string::npos && hashes > at)) return {};
      return {.candidates = sentence_readings(sentence), .rule = "phrase", .reason = ""};
    }
    case Fallback::kHashes: {
      const size_t hashes = find_last(text, "####");
      if (hashes == std::string::npos) return {};
      const std::string line =
          clean_answer(std::string_view(text).substr(hashes + 4, text.find('\n', hashes) - hashes - 4));
      if (line.empty()) return none("####", "nothing stands behind ####");
      if (is_retracted(line, std::string_view(text).substr(std::min(text.find('\n', hashes), text.size()))))
        return none("####", "the text takes its answer back");
      return {.candidates = {line, sentence_readings(line)[0]}, .rule = "####", .reason = ""};
    }
    case Fallback::kMath: {
      const std::string math = last_math(text, at);
      size_t number_at = 0;
      const std::string number = last_value(text, number_at);
      const bool number_follows = !number.empty() && number_at + 1 >= at;  // "$x+y=$ 10"
      const bool symbol = math.size() <= 2 && !math.empty() && is_letter(math[0]);
      if (math.empty() || number_follows || symbol) return {};
      const size_t begin = text.rfind(math, at);
      const auto before = std::string_view(text).substr(0, begin == std::string::npos ? 0 : begin);
      size_t first = 0;
      const std::string items = items_before(before, first, math);
      const auto lead = before.substr(0, first);
      const auto behind = std::string_view(text).substr(std::min(at, text.size()));
      const bool list_denied = !items.empty() && list_denied_behind(behind);
      const bool other_sense = list_denied || changed_before(lead) || denied_before(lead) || denied_behind(behind) ||
                               is_hypothesis(last_sentence(before)) || asks(text);
      if (other_sense) return none("math", "words give the last formula another sense");
      if (gives_up(lower(std::string_view(text).substr(text.size() > 300 ? text.size() - 300 : 0)))) return {};
      return {.candidates = {items + clean_answer(math)},
              .rule = "math",
              .reason = "",
              .stated = introduces_value(before),
              .asked = asks_for_value(before)};
    }
    case Fallback::kWhole: {
      const std::string clean = lines_as_list(clean_answer(unquoted(text)));
      if (is_hypothesis(clean) || is_derivation(clean)) return {};
      if (text.find("~~") != std::string::npos) return {};  // the answer may be struck out
      if (clean.size() > kMaxWhole || clean.empty() || (is_prose(to_latex(clean)) && !is_bare_choice(clean))) return {};
      Extraction out{.candidates = {clean}, .rule = "whole", .reason = "", .stated = false};
      out.latex = clean.find('\\') != std::string::npos;
      return out;
    }
    case Fallback::kLastNumber: {
      const std::string low = lower(std::string_view(text).substr(text.size() > 300 ? text.size() - 300 : 0));
      if (gives_up(low)) return none("last number", "the response gives up");
      if (asks(text)) return none("last number", "the response ends with what is asked for");
      std::string number = last_value(text, at);
      if (number.empty()) return {};
      const auto before_number = std::string_view(text).substr(0, at);
      const bool plain = number.find_first_not_of("0123456789.,") == std::string::npos;
      Extraction out{.candidates = {std::move(number)},
                     .rule = "last number",
                     .reason = "",
                     .stated = introduces_value(before_number)};
      out.asked = asks_for_value(before_number);
      if (!plain) out.earlier = last_value(before_number, at);
      return out;
    }
  }
  return {};
}

}  // namespace

Extraction extract_answer(std::string_view response, const VerifierOptions& options) {
  const Visible visible = visible_part(response);
  if (visible.unfinished_thought) return none("", "the thought never closes: the response was cut off");
  const Boxes boxes = find_boxes(visible.text);
  if (!boxes.complete.empty() || boxes.last_unfinished) return from_boxes(visible.text, boxes);
  Extraction found;
  for (const Fallback fallback : options.fallbacks) {
    Extraction next;
    try {
      next = from_fallback(fallback, visible.text);
    } catch (const OverBudget& error) {
      return none("", error.what());
    }
    if (!next.reason.empty()) return next;
    if (next.candidates.empty()) continue;
    // The whole text is only one reading: the readings of the next fallback that finds an answer are added to it.
    if (found.candidates.empty()) {
      found.rule = next.rule;
      found.stated = next.stated;
    }
    found.asked = next.asked;
    found.earlier = next.earlier;
    found.candidates.insert(found.candidates.end(), next.candidates.begin(), next.candidates.end());
    if (next.rule != "whole" || next.latex) return found;
  }
  if (found.candidates.empty()) found.reason = "the response holds no final answer";
  return found;
}

}  // namespace grpo::verifier
