#include "verifier/change.h"

#include <algorithm>
#include <string>

#include "verifier/char_class.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"
#include "verifier/nearby_words.h"

namespace grpo::verifier {
namespace {

constexpr std::string_view kBoxChangesBefore[] = {"negative",
                                                  "minus",
                                                  "half of",
                                                  "twice",
                                                  "double",
                                                  "triple",
                                                  "root of",
                                                  "reciprocal of",
                                                  "inverse of",
                                                  "opposite of",
                                                  "negative of",
                                                  "square of",
                                                  "cube of",
                                                  "plus",
                                                  "multiple of",
                                                  "multiples of",
                                                  "power of",
                                                  "factorial of",
                                                  "logarithm of",
                                                  "divided by",
                                                  "multiplied by",
                                                  "percent of",
                                                  "is less than",
                                                  "is greater than",
                                                  "is more than",
                                                  "is fewer than",
                                                  "one less than",
                                                  "one more than",
                                                  "answer is at least",
                                                  "answer is at most",
                                                  "answer is up to",
                                                  "alternatively",
                                                  "kleiner als",
                                                  "größer als",
                                                  "weniger als",
                                                  "mehr als",
                                                  "supérieur à",
                                                  "supérieure à",
                                                  "inférieur à",
                                                  "inférieure à",
                                                  "plus de",
                                                  "moins de",
                                                  "menor que",
                                                  "mayor que",
                                                  "más de",
                                                  "menos de",
                                                  "大于",
                                                  "小于",
                                                  "多于",
                                                  "少于",
                                                  "超过",
                                                  "example format",
                                                  "the format is",
                                                  "format is e.g.",
                                                  "close to",
                                                  "nearly",
                                                  "almost",
                                                  "slightly less than",
                                                  "slightly more than",
                                                  "slightly greater than",
                                                  "just under",
                                                  "just over",
                                                  "a bit more than",
                                                  "a bit less than",
                                                  "divisible by",
                                                  "division by",
                                                  "bounded by",
                                                  "not exceed",
                                                  "differs from",
                                                  "differ from",
                                                  "contradicts",
                                                  "modulo",
                                                  "log",
                                                  "ln",
                                                  "sin",
                                                  "cos",
                                                  "tan",
                                                  "second guess is",
                                                  "another answer could be",
                                                  "could also be",
                                                  "unless it is",
                                                  "another possible answer is",
                                                  "another possible answer",
                                                  "another possibility is",
                                                  "another possibility",
                                                  "or possibly",
                                                  "or maybe",
                                                  "or perhaps"};
// The same where another box stands before it: a second answer beside the first.
constexpr std::string_view kSecondAnswers[] = {"maybe",    "perhaps",  "possibly", "previously",
                                               "formerly", "replaces", "if not"};

constexpr std::string_view kBoxChangesBehind[] = {"th ",
                                                  "st ",
                                                  "nd ",
                                                  "rd ",
                                                  "plus",
                                                  "minus",
                                                  "divided by",
                                                  "multiplied by",
                                                  "and a half",
                                                  "and one half",
                                                  "and a third",
                                                  "and a quarter",
                                                  "halves",
                                                  "thirds",
                                                  "fourths",
                                                  "fifths",
                                                  "sixths",
                                                  "sevenths",
                                                  "eighths",
                                                  "ninths",
                                                  "tenths",
                                                  "hundredths",
                                                  "thousandths",
                                                  "choose",
                                                  "to the power",
                                                  "raised to",
                                                  "is half the answer",
                                                  "is twice the answer"};

// The same of scripts without spaces, where the words touch the box.
constexpr std::string_view kTouchingChanges[] = {"以上",   "以下",   "未満",   "未满", "倍",
                                                 "の倍数", "的倍数", "的平方", "分之"};

constexpr std::string_view kChangesBefore[] = {"than",          "at least",     "at most",
                                               "up to",         "multiple of",  "multiples of",
                                               "divisible by",  "divides",      "factor of",
                                               "root of",       "half of",      "half",
                                               "twice",         "double",       "triple",
                                               "reciprocal of", "inverse of",   "power of",
                                               "logarithm of",  "square of",    "cube of",
                                               "negative",      "minus",        "plus",
                                               "nearest",       "between",      "under",
                                               "over",          "above",        "below",
                                               "mod",           "modulo",       "base",
                                               "theorem",       "lemma",        "problem",
                                               "question",      "case",         "step",
                                               "part",          "figure",       "table",
                                               "equation",      "section",      "chapter",
                                               "exercise",      "example",      "rule",
                                               "page",          "option",       "line",
                                               "level",         "grade",        "corollary",
                                               "proposition",   "condition",    "formula",
                                               "method",        "attempt",      "note",
                                               "item",          "or",           "either",
                                               "maybe",         "perhaps",      "not",
                                               "times",         "divided by",   "multiplied by",
                                               "exceeds",       "exceed",       "but",
                                               "could be",      "may be",       "might be",
                                               "opposite of",   "negative of",  "out of",
                                               "suppose it is", "assume it is", "if it is",
                                               "if it were",    "if it was",    "eq",
                                               "third of",      "thirds of",    "quarter of",
                                               "quarters of",   "fifth of",     "tenth of",
                                               "percent of",    "% of",         "fraction of",
                                               "after",         "until",        "eq.",
                                               "eqn.",          "fig.",         "if"};

constexpr std::string_view kChangesBehind[] = {"factorial",
                                               "squared",
                                               "cubed",
                                               "times",
                                               "digit",
                                               "th ",
                                               "st ",
                                               "nd ",
                                               "rd ",
                                               "or ",
                                               "plus",
                                               "minus",
                                               "divided",
                                               "multiplied",
                                               "choose",
                                               "hundredths",
                                               "tenths",
                                               "or more",
                                               "or less",
                                               "and a half",
                                               "doubled",
                                               "tripled",
                                               "halved",
                                               "but it may",
                                               "but it might",
                                               "but it could",
                                               "but i may",
                                               "but i might",
                                               "but i could",
                                               "but this may",
                                               "but this might",
                                               "but that may",
                                               "but that might",
                                               "but i am not",
                                               "but i'm not",
                                               "though i am not",
                                               "although i am not"};

// Whether a box holds under a condition while another value stands beside it for the other case: "\\boxed{4} if n is
// even and 5 otherwise", "\\boxed{4} for even n, 5 for odd n". "\\boxed{4} if x = 2" alone says where the value is
// taken.
bool is_one_case(std::string_view behind) {
  const std::string low = lower(behind.substr(0, std::min({behind.find(". "), behind.find('\n'), size_t{160}})));
  const size_t first = low.find_first_not_of(" $,(*");
  if (first == std::string::npos) return false;
  if (low.compare(first, 7, "unless ") == 0) return true;
  bool conditional = false;
  for (const std::string_view word : {"if ", "when ", "for ", "in the case "})
    conditional = conditional || low.compare(first, word.size(), word) == 0;
  if (!conditional) return false;
  for (const std::string_view word : {" if ", " when ", " for ", " otherwise", " else"}) {
    for (size_t at = low.find(word, first + 3); at != std::string::npos; at = low.find(word, at + 1)) {
      const size_t value = low.find_first_not_of(" ,:$", at + word.size());
      if (word == " otherwise" && value != std::string::npos && is_digit(low[value])) return true;
      size_t end = at;
      while (end > first && std::string_view(" $}(").find(low[end - 1]) != std::string_view::npos) --end;
      size_t begin = end;
      while (begin > first && std::string_view(" $").find(low[begin - 1]) == std::string_view::npos) --begin;
      const auto joint = trimmed(std::string_view(low).substr(0, begin));
      const bool joined = joint.ends_with(',') || joint.ends_with(" and") || joint.ends_with(" or") ||
                          joint.ends_with(" but") || joint.ends_with(';') || joint.ends_with("$");
      if (end > begin && is_digit(low[end - 1]) && joined) return true;
    }
  }
  return false;
}

// Whether the last box and the one before it are the two cases of one sentence: "\\boxed{4} if n is even and \\boxed{5}
// if n is odd".
bool is_other_case(std::string_view before, std::string_view behind) {
  const size_t box = before.rfind("\\boxed{");
  if (box == std::string_view::npos || before.size() - box > 160) return false;
  const std::string gap = lower(before.substr(box));
  if (gap.find('\n') != std::string::npos || gap.find(". ") != std::string::npos) return false;
  const std::string head = head_of(behind);
  for (const std::string_view word :
       {"if ", "when ", "for even", "for odd", "for n", "for positive", "for negative", "otherwise"}) {
    const auto kind = word.substr(0, word.find(' '));  // "for even" answers "for odd"
    const bool same = gap.find("} " + std::string(kind)) != std::string::npos ||
                      gap.find("}$ " + std::string(kind)) != std::string::npos ||
                      (word == "otherwise" && gap.find(" if ") != std::string::npos);
    if (same && head.starts_with(word)) return true;
  }
  return false;
}

// A number behind words that make it a part of one formula with the box: "\boxed{5} and 6", "\boxed{5}% of 40".
// "\boxed{5} to 2 decimal places" says how exact it is.
bool goes_on_with_a_number(std::string_view head) {
  for (const std::string_view words : {"percent of ", "% of ", "out of ", "to ", "and ", "times ", "more than ",
                                       "less than ", "fewer than ", "->", "→"}) {
    if (!head.starts_with(words) || head.size() <= words.size()) continue;
    size_t at = words.size();
    while (at < head.size() && std::string_view(" $(-").find(head[at]) != std::string_view::npos) ++at;
    const bool places = head.find("decimal") != std::string_view::npos ||
                        head.find("signif") != std::string_view::npos || head.find("place") != std::string_view::npos ||
                        head.find("digit") != std::string_view::npos;
    if (at < head.size() && is_digit(head[at]) && !places) return true;
  }
  return false;
}

// "\boxed{5} mod 3" would be 2. But where the text speaks of residues, the modulus belongs to the answer.
bool is_reduced(std::string_view before, std::string_view head) {
  if (!head.starts_with("mod ") && !head.starts_with("modulo ")) return false;
  const std::string low = lower(before.substr(before.size() > 80 ? before.size() - 80 : 0));
  return low.find("equiv") == std::string::npos && low.find("≡") == std::string::npos &&
         low.find("congruent") == std::string::npos && low.find("remainder") == std::string::npos &&
         low.find("residue") == std::string::npos;
}

// \text{at most }\boxed{7}
bool is_bounded(std::string_view before) {
  static constexpr std::string_view kBounds[] = {"less than", "more than", "greater than", "fewer than",
                                                 "at least",  "at most",   "up to",        "under",
                                                 "over",      "above",     "below"};
  return !text_at_end(before).empty() && ends_with_any(tail_of(before), kBounds);
}

// "between 3 and 5"
bool ends_interval(std::string_view tail) {
  return tail.ends_with(" and") && tail.find(" between ") != std::string_view::npos;
}

// Whether `tail` ends in a number and `word` behind it.
bool ends_with_number_and(std::string_view tail, std::string_view word) {
  return tail.ends_with(word) && tail.size() > word.size() && is_digit(tail[tail.size() - word.size() - 1]);
}

// "The answer minus 1", "the answer squared", without their verb.
bool changes_subject(std::string_view low) {
  const size_t answer = low.rfind("the answer ");
  if (answer == std::string_view::npos || low.find_first_of(".\n,;:", answer) != std::string_view::npos) return false;
  const auto words = low.substr(answer + 11);
  for (const std::string_view word : {"minus ", "plus ", "times ", "divided by ", "multiplied by ", "squared", "cubed",
                                      "doubled", "halved", "modulo ", "mod "}) {
    if (words.starts_with(word)) return true;
  }
  return false;
}

// "4 or \boxed{5}"
bool is_alternative(std::string_view tail) {
  return ends_with_word(tail, "or") && tail.size() > 4 &&
         (is_digit(tail[tail.size() - 4]) || tail[tail.size() - 4] == '$');
}

}  // namespace

bool speaks_of_the_answer(std::string_view before) {
  constexpr size_t kSentence = 160;
  std::string low = lower(before.substr(before.size() > kSentence ? before.size() - kSentence : 0));
  const auto drop = [&](std::initializer_list<std::string_view> words) {
    for (bool dropped = true; dropped;) {
      dropped = false;
      while (!low.empty() && std::string_view(" $:*\n").find(low.back()) != std::string_view::npos) low.pop_back();
      for (const auto word : words) {
        if (!ends_with_word(low, word)) continue;
        low.resize(low.size() - word.size());
        dropped = true;
      }
    }
  };
  drop({"is", "are", "equals", "be", "="});
  if (!ends_with_word(low, "answer")) return changes_subject(low);
  low.resize(low.size() - 6);
  drop({"the", "final", "correct", "right", "actual", "real", "true", "our", "my", "this", "that"});
  if (low.ends_with("value of") || low.ends_with("form of")) return false;
  for (const std::string_view word : {"of", "twice", "thrice", "half", "double", "triple", "times", "than", "minus",
                                      "plus", "whether", "divides", "divide", "exceeds"}) {
    if (ends_with_word(low, word)) return true;
  }
  return false;
}

bool box_changed(std::string_view before, std::string_view behind) {
  if (speaks_of_the_answer(before)) return true;
  if (is_one_case(behind) || is_other_case(before, behind)) return true;
  const auto touching = behind.substr(std::min(behind.find_first_not_of("$ "), behind.size()));
  if (starts_with_any(touching, kTouchingChanges)) return true;
  std::string_view lead = before;
  while (!lead.empty() && std::string_view(" $:,").find(lead.back()) != std::string_view::npos) lead.remove_suffix(1);
  const std::string lead_tail = tail_of(lead), head = head_of(behind), tail = tail_of(before);
  const bool beside = before.find("\\boxed") != std::string_view::npos;
  return ends_with_any(lead_tail, kBoxChangesBefore) || (beside && ends_with_any(lead_tail, kSecondAnswers)) ||
         starts_with_any(head, kBoxChangesBehind) || head.starts_with("or not") || goes_on_with_a_number(head) ||
         is_reduced(before, head) || is_bounded(before) || ends_interval(tail) || is_alternative(tail) ||
         ends_with_number_and(tail, " times") ||  // "2 times \boxed{5}"
         ends_with_number_and(tail, " to");       // "from 3 to \boxed{5}"
}

bool changed_before(std::string_view before) {
  if (speaks_of_the_answer(before)) return true;
  const std::string tail = tail_of(before);
  const bool moves = tail.find(" from ") != std::string::npos;  // "from 3 to 5" ends at 5
  return ends_with_any(tail, kChangesBefore) || ends_interval(tail) || ends_with_number_and(tail, " in") ||
         ends_with_number_and(tail, " of") || ends_with_number_and(tail, " through") ||
         (ends_with_number_and(tail, " to") && !moves);
}

bool changed_behind(std::string_view behind) {
  if (behind.size() > 1 && behind[0] == '-' && is_letter(behind[1])) return true;  // 5-digit
  const std::string head = head_of(behind);
  const std::string_view said = head.starts_with(", ") ? std::string_view(head).substr(2) : std::string_view(head);
  return starts_with_any(said, kChangesBehind);
}

}  // namespace grpo::verifier
