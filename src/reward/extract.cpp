#include "reward/extract.h"

#include <algorithm>

#include "reward/budget.h"
#include "reward/char_class.h"
#include "reward/lexer.h"
#include "reward/parser.h"
#include "reward/response.h"
#include "reward/unicode.h"
#include "reward/units.h"

namespace grpo::reward {
namespace {

constexpr size_t kMaxWhole = 4000;  // bytes of a response that may be one expression

bool mentions(const std::string& low, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return low.find(word) != std::string::npos; });
}

// The sentence takes back, doubts or offers several answers: no number may be picked out of it.
bool hedges(const std::string& low) {
  return mentions(low, {" not ", "n't ", " or ", "either ", "maybe", "perhaps", "one of", "cannot", "unknown", "unsure", "not sure", "between "});
}

bool gives_up(const std::string& low) {
  return mentions(low, {"don't know", "do not know", "cannot ", "can't ", "could not ", "couldn't ", "unable", "not sure", "unsure", "give up", "no answer", "no idea", "impossible to", "not possible to"});
}

// Behind the braces at `at` when they hold the name of an environment, or words that may stand behind a value (a unit, a
// name); else `at`.
size_t skip_group_of_words(std::string_view text, size_t at, std::string_view command) {
  const bool environment = command == "begin" || command == "end";
  const bool words = command == "mbox" || command == "mathrm" || command.starts_with("text");
  size_t open = at;
  while (open < text.size() && text[open] == ' ') ++open;
  if ((!environment && !words) || open >= text.size() || text[open] != '{') return at;
  const size_t close = text.find('}', open);
  if (close == std::string_view::npos) return at;
  return environment || parse_unit(text.substr(open + 1, close - open - 1)) ? close + 1 : at;
}

// At least two words of two letters outside commands and mathematics, or one of four that does not stand alone.
bool is_prose(std::string_view text) {
  int words = 0;
  bool long_word = false;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\\') {
      const size_t begin = ++i;
      while (i < text.size() && is_letter(text[i])) ++i;
      i = skip_group_of_words(text, i, text.substr(begin, i - begin));
    } else if ((text[i] & 0x80) != 0) {
      const size_t begin = i;
      while (i < text.size() && (text[i] & 0x80) != 0) ++i;
      long_word = long_word || i - begin < text.size();
    } else if (is_letter(text[i])) {
      const size_t begin = i;
      while (i < text.size() && is_letter(text[i])) ++i;
      const auto word = text.substr(begin, i - begin);
      if (word.size() > 1 && !is_function_name(word) && !find_unit(word) && conjunction(word).empty()) ++words;
      long_word = long_word || (word.size() > 3 && !is_function_name(word) && !find_unit(word) && word.size() < text.size());
    } else {
      ++i;
    }
  }
  return words >= 2 || long_word;
}

Extraction none(std::string rule, std::string reason) { return {.candidates = {}, .rule = std::move(rule), .reason = std::move(reason)}; }

// Readings of the sentence behind an answer phrase: all of it, its mathematics, what follows its last "is", its number.
std::vector<std::string> sentence_readings(const std::string& sentence) {
  const std::string clean = clean_answer(sentence);
  std::vector<std::string> out{clean};
  const std::string low = " " + lower(clean) + " ";
  if (hedges(low)) return out;
  size_t end = 0;
  const std::string math = last_math(clean, end);
  size_t verb = std::string::npos;
  for (const std::string_view word : {" is ", " are ", " = ", " equals "}) {
    const size_t found = clean.rfind(word);
    if (found != std::string::npos && (verb == std::string::npos || found + word.size() > verb)) verb = found + word.size();
  }
  const bool verb_last = verb != std::string::npos && (math.empty() || verb >= end);
  if (verb_last) out.push_back(clean_answer(std::string_view(clean).substr(verb)));
  if (!math.empty()) out.push_back(clean_answer(math));
  if (verb != std::string::npos && !verb_last) out.push_back(clean_answer(std::string_view(clean).substr(verb)));
  // "26 because 52/2 = 26": the number the sentence begins with, then its last one.
  size_t at = 0;
  const size_t space = clean.find(' ');
  if (space != std::string::npos && !clean.empty() && (is_digit(clean[0]) || clean[0] == '-')) out.push_back(clean_answer(clean.substr(0, space)));
  if (is_prose(clean)) {
    const std::string number = last_number(clean, at);
    if (!number.empty()) out.push_back(number);
  }
  return out;
}

std::string answer_tag(std::string_view text) {
  const size_t close = text.rfind("</answer>");
  const size_t open = text.rfind("<answer>", close);
  if (open == std::string_view::npos || close == std::string_view::npos || open > close) return "";
  return trim(text.substr(open + 8, close - open - 8));
}

bool negated(std::string_view before) {
  std::string tail;
  for (const char c : before.substr(before.size() > 16 ? before.size() - 16 : 0)) {
    if (c != '$' && c != '(' && c != '\\') tail += c;
  }
  tail = lower(trim(tail));
  return tail.ends_with(" not") || tail.ends_with("n't") || tail.ends_with(" not equal to") || tail.ends_with("not:");
}

Extraction from_boxes(const std::string& text, const Boxes& boxes) {
  if (boxes.last_unfinished) return none("box", "the last box never closes: the response was cut off");
  bool several = false;
  std::string content = clean_answer(final_boxes(text, boxes.complete, several));
  if (content.empty()) return none("box", "the box is empty");
  if (negated(std::string_view(text).substr(0, boxes.complete.back().begin))) return none("box", "the text denies its box");
  Extraction out{.candidates = {std::move(content)}, .rule = several ? "boxes" : "box", .reason = ""};
  out.boxed = true;
  return out;
}

Extraction from_fallback(Fallback fallback, const std::string& text) {
  size_t at = 0;
  switch (fallback) {
    case Fallback::kAnswerTag: {
      const std::string content = answer_tag(text);
      if (content.empty()) return {};
      auto readings = sentence_readings(content);
      size_t phrase = 0;
      const std::string behind = behind_answer_phrase(content, phrase);
      if (!behind.empty()) readings = sentence_readings(behind);
      return {.candidates = readings, .rule = "answer tag", .reason = ""};
    }
    case Fallback::kPhrase: {
      const std::string sentence = behind_answer_phrase(text, at);
      // "####" behind the phrase is the later statement.
      const size_t hashes = text.rfind("####");
      if (sentence.empty() || (hashes != std::string::npos && hashes > at)) return {};
      return {.candidates = sentence_readings(sentence), .rule = "phrase", .reason = ""};
    }
    case Fallback::kHashes: {
      const size_t hashes = text.rfind("####");
      if (hashes == std::string::npos) return {};
      const std::string line = clean_answer(std::string_view(text).substr(hashes + 4, text.find('\n', hashes) - hashes - 4));
      if (line.empty()) return none("####", "nothing stands behind ####");
      return {.candidates = {line}, .rule = "####", .reason = ""};
    }
    case Fallback::kMath: {
      const std::string math = last_math(text, at);
      size_t number_at = 0;
      const std::string number = last_number(text, number_at);
      const bool number_follows = !number.empty() && number_at > at;
      const bool symbol = math.size() <= 2 && !math.empty() && is_letter(math[0]);
      if (math.empty() || number_follows || symbol) return {};
      std::string tail = lower(std::string_view(text).substr(at));
      if (gives_up(lower(std::string_view(text).substr(text.size() > 300 ? text.size() - 300 : 0)))) return {};
      return {.candidates = {clean_answer(math)}, .rule = "math", .reason = ""};
    }
    case Fallback::kWhole: {
      const std::string clean = clean_answer(text);
      if (clean.size() > kMaxWhole || clean.empty() || is_prose(to_latex(clean))) return {};
      Extraction out{.candidates = {clean}, .rule = "whole", .reason = ""};
      out.boxed = clean.find('\\') != std::string::npos;  // an expression that does not parse is not searched for numbers
      return out;
    }
    case Fallback::kLastNumber: {
      const std::string low = lower(std::string_view(text).substr(text.size() > 300 ? text.size() - 300 : 0));
      if (gives_up(low)) return none("last number", "the response gives up");
      std::string number = last_number(text, at);
      if (number.empty()) return {};
      return {.candidates = {std::move(number)}, .rule = "last number", .reason = ""};
    }
  }
  return {};
}

}  // namespace

Extraction extract_answer(std::string_view response, const VerifierConfig& config) {
  const Visible visible = visible_part(response);
  if (visible.unfinished_thought) return none("", "the thought never closes: the response was cut off");
  const Boxes boxes = find_boxes(visible.text);
  if (!boxes.complete.empty() || boxes.last_unfinished) return from_boxes(visible.text, boxes);
  Extraction found;
  for (const Fallback fallback : config.fallbacks) {
    Extraction next;
    try {
      next = from_fallback(fallback, visible.text);
    } catch (const OverBudget& error) {
      return none("", error.what());
    }
    if (!next.reason.empty()) return next;
    if (next.candidates.empty()) continue;
    // The text as a whole is one reading among others; the rest of the order stays behind it.
    if (found.candidates.empty()) found.rule = next.rule;
    found.candidates.insert(found.candidates.end(), next.candidates.begin(), next.candidates.end());
    if (next.rule != "whole" || next.boxed) return found;
  }
  if (found.candidates.empty()) found.reason = "the response holds no final answer";
  return found;
}

}  // namespace grpo::reward
