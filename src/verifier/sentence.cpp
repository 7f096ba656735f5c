#include <algorithm>

#include "verifier/change.h"
#include "verifier/char_class.h"
#include "verifier/denial.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"
#include "verifier/parser.h"
#include "verifier/unicode.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

// The position behind the group at `at` when it holds the name of an environment, or words in a text command that may
// be the unit of a value ("cm", "red marbles"); else `at`.
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

// Where the explanation of an answer begins: "5, since x > 0", "26 because 52/2 = 26", "81, which is the total".
size_t explanation_at(std::string_view clean) {
  const std::string low = lower(clean);
  size_t best = clean.size();
  for (const std::string_view word :
       {" since ", " because ", " as ", "; ", " (since", " (because", " so that ", ", so ", "，因为", "，所以"})
    best = std::min(best, low.find(word));
  for (size_t i = low.find(", "); i != std::string::npos; i = low.find(", ", i + 1)) {
    size_t end = i + 2;
    while (end < low.size() && is_letter(low[end])) ++end;
    const auto word = std::string_view(low).substr(i + 2, end - i - 2);
    if (word.size() > 1 && conjunction(word).empty() && !is_function_name(word) &&
        (end == low.size() || low[end] == ' '))
      best = std::min(best, i);
  }
  return best;
}

// Prose inside \text{}, where the parser reads letters as words and $...$ as mathematics; other text as it is.
std::string as_text(const std::string& prose) {
  const bool plain = prose.find('{') == std::string::npos && prose.find('}') == std::string::npos;
  return plain && is_prose(to_latex(prose)) ? "\\text{" + prose + "}" : prose;
}

size_t behind_verb(const std::string& clean) {
  size_t verb = std::string::npos;
  for (const std::string_view word : {" is ", " are ", " = ", " equals ", " be "}) {
    const size_t found = clean.rfind(word);
    if (found != std::string::npos && (verb == std::string::npos || found + word.size() > verb))
      verb = found + word.size();
  }
  return verb;
}

// "not 28 but 27": the answer is what stands behind the last "but", unless that hedges too.
std::string behind_not_but(const std::string& statement) {
  const size_t but = statement.rfind(" but ");
  if (!lower(statement).starts_with("not ") || but == std::string::npos) return "";
  const std::string other = clean_answer(std::string_view(statement).substr(but + 5));
  return hedges(other) ? "" : other;
}

// What a problem asks one to do: "Add 5 and 7" asks, "Add them: 5 + 7 = 12" says what comes of it.
constexpr std::string_view kTasks[] = {"add",      "subtract", "multiply", "divide",  "compute",   "calculate",
                                       "evaluate", "simplify", "expand",   "factor",  "factorise", "factorize",
                                       "convert",  "solve",    "reduce",   "rewrite", "express",   "determine",
                                       "find",     "work out", "what is",  "round"};

bool concludes(std::string_view low) {
  static constexpr std::string_view kConclusions[] = {", ",     " then ",  " is ",    " are ",    " get",
                                                      " give",  " has ",   " have ",  " equals ", " becomes ",
                                                      " yield", " makes ", " there ", " so ",     " to "};
  return std::any_of(std::begin(kConclusions), std::end(kConclusions),
                     [&](std::string_view words) { return low.find(words) != std::string_view::npos; });
}

// Words of two letters and more.
int words_of(std::string_view low) {
  int words = 0;
  for (size_t i = 0; i < low.size(); ++i) {
    const bool begins = is_letter(low[i]) && (i == 0 || !is_letter(low[i - 1]));
    words += begins && i + 1 < low.size() && is_letter(low[i + 1]) ? 1 : 0;
  }
  return words;
}

// Whether a sentence, up to where a value begins, tells or means to do something with it: "Factor: ", "Reduce the
// fraction ", "we need to expand the product ".
bool sets_a_task(std::string_view sentence) {
  std::string low = " " + lower(sentence);
  while (!low.empty() && std::string_view(" $*:").find(low.back()) != std::string_view::npos) low.pop_back();
  for (const std::string_view task : kTasks) {
    const std::string word = " " + std::string(task);
    for (size_t at = low.rfind(word); at != std::string::npos; at = at == 0 ? at - 1 : low.rfind(word, at - 1)) {
      const size_t end = at + word.size();
      if (end < low.size() && is_letter(low[end])) continue;
      const auto lead = std::string_view(low).substr(0, at);
      bool meant = at == 0;
      for (const std::string_view verb : {" to", " must", " can", " will", " should", " let's", " let us", " please"})
        meant = meant || lead.ends_with(verb);
      const std::string rest = low.substr(end) + " ";
      const bool result = concludes(rest) || rest.find(" as ") != std::string::npos ||
                          rest.find(" into ") != std::string::npos || rest.find_first_of("=:") != std::string::npos;
      if (meant && !result && words_of(rest) < 5) return true;
    }
  }
  return false;
}

}  // namespace

bool hedges(std::string_view sentence) {
  const std::string low = " " + lower(sentence) + " ";
  static constexpr std::string_view kWords[] = {" not ",      "n't ",     " or ",    "either ",   "maybe",
                                                "perhaps",    "one of",   "cannot",  "unknown",   "unsure",
                                                "not sure",   "between ", " never ", " neither ", " might be ",
                                                " could be ", " may be ", "或",      "または",    "또는"};
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return low.find(word) != std::string::npos; });
}

bool is_hypothesis(std::string_view sentence) {
  if (sets_a_task(sentence)) return true;
  if (sentence.size() > 80) return false;
  if (lower(sentence.substr(0, 9)) == "in order ") sentence.remove_prefix(9);
  static constexpr std::string_view kOpenings[] = {"let ",   "let's try ", "suppose ",  "assume ",       "if ",
                                                   "for ",   "when ",      "consider ", "given ",        "try ",
                                                   "check ", "testing ",   "test ",     "we are given ", "assuming "};
  // "Adding 5 and 7" sets something out; "Adding them: 5 + 7 = " says what comes of it.
  static constexpr std::string_view kSteps[] = {
      "to ",         "adding ",      "subtracting ", "dividing ",  "multiplying ", "computing ", "calculating ",
      "evaluating ", "simplifying ", "expanding ",   "factoring ", "converting ",  "solving ",   "what's "};
  const std::string low = lower(sentence);
  const auto starts = [&](std::string_view words) { return low.starts_with(words); };
  const bool opens =
      std::any_of(std::begin(kOpenings), std::end(kOpenings), starts) ||
      (std::any_of(std::begin(kSteps), std::end(kSteps), starts) && low.find_first_of("=:") == std::string::npos);
  return opens && words_of(low) < 4 && !concludes(low);  // "For all five days she earns" has a verb that no list knows
}

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
      long_word =
          long_word || (word.size() > 3 && !is_function_name(word) && !find_unit(word) && word.size() < text.size());
    } else {
      ++i;
    }
  }
  return words >= 2 || long_word;
}

std::vector<std::string> sentence_readings(const std::string& sentence) {
  const std::string clean = clean_answer(sentence);
  std::vector<std::string> out{as_text(clean)};
  if (out[0] != clean && clean.size() > 3 && clean[1] == '.') out.push_back(clean);  // "B. 12 apples"
  const std::string short_form = clean_answer(std::string_view(clean).substr(0, explanation_at(clean)));
  if (short_form != clean && !short_form.empty()) out.push_back(as_text(short_form));
  const std::string& statement = short_form.empty() ? clean : short_form;
  if (const std::string other = behind_not_but(statement); !other.empty()) out.push_back(as_text(other));
  if (hedges(statement)) return out;
  size_t end = 0;
  const std::string math = last_math(statement, end);
  const size_t verb = behind_verb(statement);
  const bool verb_last = verb != std::string::npos && (math.empty() || verb >= end);
  const auto from_verb = [&] { return as_text(clean_answer(std::string_view(statement).substr(verb))); };
  if (verb_last) out.push_back(from_verb());
  const size_t math_begin = end == std::string::npos || math.empty() ? 0 : statement.rfind(math, end);
  const auto before_math = std::string_view(statement).substr(0, math_begin);
  const auto behind_math = std::string_view(statement).substr(std::min(end, statement.size()));
  const bool changed = !math.empty() && (changed_before(before_math) || changed_behind(behind_math) ||
                                         denied_before(before_math) || denied_behind(behind_math));
  if (!math.empty() && !changed) out.push_back((negated_by_word(before_math) ? "-" : "") + clean_answer(math));
  if (verb != std::string::npos && !verb_last) out.push_back(from_verb());
  size_t at = 0;
  if (!changed && is_prose(statement)) {
    const std::string value = last_value(statement, at);
    if (!value.empty()) out.push_back(value);
  }
  return out;
}

}  // namespace grpo::verifier
