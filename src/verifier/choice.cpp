#include "verifier/choice.h"

#include <algorithm>

#include "verifier/char_class.h"
#include "verifier/lexer.h"
#include "verifier/number_words.h"
#include "verifier/text_answer.h"

namespace grpo::verifier {
namespace {

constexpr std::string_view kLabels[] = {"the answer is ", "options ", "option ", "choices ", "choice ", "answers ",
                                        "answer ",        "both ",    "either ", "选项",     "选"};
// A text behind a letter that begins with one of these takes the letter back or offers another one. "cannot" alone is
// not among them, since "cannot be determined" is the text of a choice.
constexpr std::string_view kUnsettling[] = {"or ",
                                            "not correct",
                                            "not the answer",
                                            "not right",
                                            "not true",
                                            "not possible",
                                            "is not",
                                            "isn't",
                                            "is wrong",
                                            "is incorrect",
                                            "is false",
                                            "is impossible",
                                            "is ruled out",
                                            "cannot be true",
                                            "cannot be correct",
                                            "cannot be right",
                                            "cannot be the",
                                            "can't be",
                                            "fails",
                                            "maybe",
                                            "perhaps",
                                            "is no ",
                                            "was wrong",
                                            "?",
                                            "seems wrong",
                                            "and not",
                                            "together with",
                                            "along with",
                                            "as well as",
                                            "and also",
                                            "plus (",
                                            "with (",
                                            "would be wrong",
                                            "would be incorrect",
                                            "is the wrong",
                                            "is a wrong",
                                            "is tempting",
                                            "is a distractor",
                                            "except ",
                                            "\\times ",
                                            "✗",
                                            "✘",
                                            "❌",
                                            "\\to",
                                            "\\rightarrow",
                                            "\\longrightarrow",
                                            "\\mapsto",
                                            "->",
                                            "错",
                                            "不对",
                                            "不正确",
                                            "是错"};

bool is_choice_letter(char c) { return (c >= 'A' && c <= 'J') || (c >= 'a' && c <= 'j'); }
char capital(char c) { return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c; }

// Whether what follows "(x)" makes it a bracketed variable and no label: "(a)^3", "(a)-5", "(b)(b+1)". A capital and a
// space, "(C) -5", may also label a signed number or a bracket.
bool continues_formula(char letter, std::string_view rest) {
  if (rest.empty()) return false;
  if (is_letter(rest[0])) return true;
  if (std::string_view("^_*/=<>!|)'").find(rest[0]) != std::string_view::npos) return true;
  if (rest.starts_with("\\cdot") || rest.starts_with("\\times")) return true;
  const size_t first = rest.find_first_not_of(' ');
  const bool label = is_upper(letter) && first > 0;
  return !label && first != std::string_view::npos &&
         std::string_view("+-([{\\").find(rest[first]) != std::string_view::npos;
}

struct Label {
  char letter = '\0';
  size_t length = 0;
  bool marked = false;
};

// "(A)", "A.", "A)", "A:", "A -", or "A" alone.
Label label_at(std::string_view text) {
  if (text.size() >= 3 && text[0] == '(' && is_choice_letter(text[1]) && text[2] == ')') {
    return continues_formula(text[1], text.substr(3)) ? Label{} : Label{capital(text[1]), 3, true};
  }
  if (text.empty() || !is_upper(text[0]) || !is_choice_letter(text[0])) return {};
  if (text.size() == 1) return {text[0], 1, false};
  const char next = text[1];
  const bool mark = next == '.' || next == ')' || (next == ':' && (text.size() == 2 || text[2] == ' '));
  if (mark) return {text[0], 2, true};
  if (text.size() > 5 && text.substr(1, 3) == " - " && is_letter(text[4]) && is_letter(text[5]))  // A - B subtracts
    return {text[0], 4, true};
  const bool ends = next == ' ' || next == ',' || next == ';' || next == '&';
  return ends ? Label{text[0], 1, false} : Label{};
}

// Length of what joins two labels: ", ", " and ", " or ", " & ", ", and ". `doubts` is set by "or".
size_t joiner_at(std::string_view text, bool& doubts) {
  size_t at = 0;
  bool joined = false;
  for (bool moved = true; moved;) {
    moved = false;
    while (at < text.size() && text[at] == ' ') ++at;
    for (const std::string_view word :
         {",", ";", "&", "and ", "or ", "option ", "choice ", "maybe ", "和", "或", "、"}) {
      if (lower(text.substr(at, word.size())) != word) continue;
      doubts = doubts || word == "or " || word == "maybe " || word == "或";
      joined = true;
      at += word.size();
      moved = true;
      break;
    }
  }
  return joined ? at : 0;
}

bool unsettles(std::string_view rest) {
  const std::string low = lower(rest) + " ";
  return std::any_of(std::begin(kUnsettling), std::end(kUnsettling),
                     [&](std::string_view words) { return low.starts_with(words); });
}

// Sorts the letters of a selection. "A, A" says no more than A; but where one of several letters comes twice, "A, A,
// D", the letters answer the parts of a problem and keep their order.
void sort_letters(std::string& letters) {
  std::string sorted = letters;
  std::sort(sorted.begin(), sorted.end());
  const auto end = std::unique(sorted.begin(), sorted.end());
  const bool repeats = end != sorted.end();
  sorted.erase(end, sorted.end());
  if (!repeats || sorted.size() == 1) letters = sorted;
}

// Whether the text behind a letter repeats the options of the problem, "(A) 12 (B) 13": the next letter follows, with a
// text of its own. "(A) both (B) and (C)" is one option.
bool lists_options(char letter, std::string_view rest) {
  for (size_t at = 1; at < rest.size(); ++at) {
    if (rest[at] != '(' && rest[at - 1] != ' ') continue;
    const Label label = label_at(rest.substr(at));
    if (!label.marked || label.letter != letter + 1) continue;
    const std::string behind = lower(trimmed(rest.substr(at + label.length)));
    if (!behind.empty() && !behind.starts_with("and ") && !behind.starts_with("or ") && behind[0] != ',' &&
        behind[0] != ')' && behind[0] != '.')
      return true;
  }
  return false;
}

bool is_negated(const std::string& low) { return low.starts_with("not ") || low.starts_with("neither "); }

}  // namespace

std::optional<Choice> parse_choice(std::string_view latex) {
  if (latex.size() > 2000) return std::nullopt;
  std::string text = plain_text(latex);
  Choice choice;
  if (is_negated(lower(text))) {
    choice.settled = false;
    text = trim(std::string_view(text).substr(text.find(' ')));
  }
  for (bool moved = true; moved;) {
    moved = false;
    for (const std::string_view word : kLabels) {
      if (!lower(text).starts_with(word)) continue;
      text = trim(std::string_view(text).substr(word.size()));
      choice.marked = moved = true;
      choice.settled = choice.settled && word != "either ";
    }
  }
  std::string_view left = text;
  const bool small = left.size() > 1 && left[0] == '(' && is_lower(left[1]);
  for (Label label = label_at(left); label.length > 0;) {
    choice.letters += label.letter;
    choice.marked = choice.marked || label.marked;
    left = left.substr(label.length);
    bool doubts = false;
    const size_t joiner = joiner_at(left, doubts);
    if (joiner == 0 && trimmed(left).starts_with('(') &&
        label_at(trimmed(left)).length > 0) {  // "(A) (B)" chooses nothing
      choice.settled = false;
      break;
    }
    if (joiner == 0) break;
    const Label next = label_at(left.substr(joiner));
    choice.settled = choice.settled && !doubts;            // also "(C) or 12"
    if (next.length == 0 && !doubts) return std::nullopt;  // "A, 5" is a list
    if (next.length == 0) break;
    left = left.substr(joiner);
    label = next;
  }
  if (choice.letters.empty()) return std::nullopt;
  choice.rest = trim(left);
  while (!choice.rest.empty() && (choice.rest[0] == ':' || choice.rest[0] == '.' || choice.rest[0] == ' '))
    choice.rest.erase(0, 1);
  if (!choice.rest.empty() && !choice.marked) return std::nullopt;  // "A x": a product
  if (choice.letters.size() > 1) choice.marked = true;
  const std::string first_word = choice.rest.substr(0, choice.rest.find(' '));
  const bool options = lists_options(choice.letters.back(), choice.rest);
  if (options && small) return std::nullopt;  // "(a) 3 (b) 8" are answers to parts
  if (options || unsettles(choice.rest) || scale_word(first_word)) choice.settled = false;
  sort_letters(choice.letters);
  return choice;
}

std::string bare_selection(std::string_view latex) {
  std::string text = plain_text(latex);
  if (text.size() < 2 || text.size() > 6 ||
      !std::all_of(text.begin(), text.end(), [](char c) { return is_upper(c) && is_choice_letter(c); }))
    return "";
  const size_t length = text.size();
  sort_letters(text);
  return text.size() == length ? text : "";
}

}  // namespace grpo::verifier
