#include "verifier/stated_choice.h"

#include <algorithm>

#include "verifier/char_class.h"
#include "verifier/choice.h"
#include "verifier/denial.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"
#include "verifier/unicode.h"

namespace grpo::verifier {
bool ends_clause(std::string_view text) {
  const size_t next = text.find_first_not_of(" $*}");
  return next == std::string_view::npos || std::string_view(".,;)\n").find(text[next]) != std::string_view::npos;
}

std::string take_letter(std::string_view& text) {
  auto rest = text;
  take_word(rest, {"option ", "choice ", "answer "});
  while (rest.starts_with('*')) rest.remove_prefix(1);
  const bool bracket = take_word(rest, {"("});
  const bool letter = !rest.empty() && rest[0] >= 'A' && rest[0] <= 'J' && rest[0] != 'I';
  const std::string found = letter ? std::string(1, rest[0]) : "";
  if (letter) rest.remove_prefix(1);
  if (!letter || (bracket && !take_word(rest, {")"})) || !ends_clause(rest)) return "";
  text = rest;
  return found;
}

std::string chosen_letter(std::string_view statement) {
  std::string text = clean_answer(statement);
  if (text.size() == 1) text = "(" + text + ")";
  const auto choice = text.size() < 16 ? parse_choice(to_latex(text)) : std::nullopt;
  const bool one = choice && choice->settled && choice->letters.size() == 1 && choice->rest.empty();
  return one && is_upper(choice->letters[0]) ? "(" + choice->letters + ")" : "";
}

std::string choice_behind(std::string_view behind) {
  behind.remove_prefix(std::min(behind.find_first_not_of(" $*,"), behind.size()));
  const auto sentence = behind.substr(std::min(behind.find_first_not_of(".* \n$"), behind.size()));
  if (lower(sentence.substr(0, 20)) == "this corresponds to ") behind = sentence.substr(20);
  take_word(behind, {"\\text{ ", "\\text{", "which is ", "which corresponds to "});
  const bool bracket = take_word(behind, {"("});
  const bool named = take_word(behind, {"option ", "choice ", "answer choice ", "answer "});
  if (!bracket && !named) return "";
  const std::string letter = take_letter(behind);
  const bool closes = !bracket || take_word(behind, {")"});
  return letter.empty() || !closes || !ends_clause(behind) ? "" : "(" + letter + ")";
}

std::string named_choice(std::string_view text) {
  text = trimmed(text);
  while (text.ends_with('.') || text.ends_with('*')) text = trimmed(text.substr(0, text.size() - 1));
  auto sentence = last_sentence(text);
  const auto before = text.substr(0, text.size() - sentence.size());
  const bool concludes =
      take_word(sentence, {"hence, ", "hence ", "thus, ", "thus ", "therefore, ", "therefore ", "so "});
  const bool picked = take_word(
      sentence, {"i choose ", "i would choose ", "i select ", "i pick ", "the best choice is ", "the best option is "});
  const bool named = take_word(sentence, {"option ", "choice "});
  if (!picked && !named) return "";
  static constexpr std::string_view kVerdicts[] = {
      " is correct", " is the correct answer", " is the correct one", " is the correct choice",
      " is right",   " is the right answer",   " is the answer"};
  bool stated = concludes || picked;
  for (const std::string_view verdict : kVerdicts) {
    if (!lower(sentence).ends_with(verdict)) continue;
    sentence.remove_suffix(verdict.size());
    stated = true;
  }
  const std::string letter = take_letter(sentence);
  return stated && !letter.empty() && sentence.empty() && !denied_before(before) ? "(" + letter + ")" : "";
}

}  // namespace grpo::verifier
