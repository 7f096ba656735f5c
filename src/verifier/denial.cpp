#include "verifier/denial.h"

#include <algorithm>
#include <string>

#include "verifier/char_class.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"
#include "verifier/nearby_words.h"

namespace grpo::verifier {
namespace {

constexpr std::string_view kDenials[] = {"there is no",
                                         "keinesfalls",
                                         "keineswegs",
                                         "nor",
                                         "avoid",
                                         "far from",
                                         "do not write",
                                         "don't write",
                                         "do not answer",
                                         "don't answer",
                                         "¬",
                                         "not",
                                         "n't",
                                         "never",
                                         "cannot",
                                         "instead of",
                                         "rather than",
                                         "different from",
                                         "other than",
                                         "except",
                                         "unlike",
                                         "anything but",
                                         "all but",
                                         "everything but",
                                         "anything except",
                                         "excluding",
                                         "no longer",
                                         "wrong that",
                                         "reject",
                                         "rejects",
                                         "impossible that",
                                         "false that",
                                         "hardly",
                                         "wrongly",
                                         "rule out",
                                         "rules out",
                                         "ruled out",
                                         "exclude",
                                         "excludes",
                                         "discard",
                                         "cannot accept",
                                         "can't accept",
                                         "wrong answer",
                                         "incorrect answer",
                                         "false answer",
                                         "wrong value",
                                         "incorrect value",
                                         "wrong result",
                                         "incorrect result",
                                         "mistaken answer",
                                         "wrong solution",
                                         "falsch",
                                         "faux",
                                         "incorrecta",
                                         "incorrecto",
                                         "fehlerhaft",
                                         "kein",
                                         "keine",
                                         "不是",
                                         "并非",
                                         "不等于",
                                         "不为",
                                         "不可能是",
                                         "而不是",
                                         "绝不是",
                                         "nicht",
                                         "nie",
                                         "statt",
                                         "pas",
                                         "jamais",
                                         "plutôt que",
                                         "no es",
                                         "nunca",
                                         "en vez de",
                                         "não é",
                                         "non è",
                                         "не",
                                         "вместо",
                                         "by no means",
                                         "in no case",
                                         "nobody gets",
                                         "nobody got",
                                         "none of us got",
                                         "none of us gets",
                                         "no one gets",
                                         "ungleich",
                                         "eliminate",
                                         "eliminates",
                                         "eliminated",
                                         "discarded",
                                         "used to be",
                                         "all values but",
                                         "all numbers but",
                                         "all integers but",
                                         "every value but",
                                         "every number but",
                                         "ليس",
                                         "नहीं"};
// Words that may stand between a denial and the value.
constexpr std::string_view kFillers[] = {
    "equal to", "equal",    "be",  "to be",   "been", "have been", "the answer", "the value", "really", "simply",
    "just",     "possibly", "say", "exactly", "是",   "等于",      "es",         "is",        "are",    ":"};
constexpr std::string_view kWrongTo[] = {
    "wrong to say",     "wrong to claim",     "wrong to answer", "wrong to conclude", "wrong to think",
    "incorrect to say", "incorrect to claim", "mistake to say",  "false that",        "false to say"};

// "none other than 5" is 5.
constexpr std::string_view kNothingElse[] = {"none other than", "nothing other than", "no other than", "nothing but",
                                             "none but"};

constexpr std::string_view kDenialsBehind[] = {"is the wrong",
                                               "seems wrong",
                                               "is probably wrong",
                                               "is likely wrong",
                                               "is a guess",
                                               "is my guess",
                                               "is only a guess",
                                               "is a placeholder",
                                               "looks off",
                                               "would be the answer if",
                                               "was what i got first",
                                               "must be discarded",
                                               "should be discarded",
                                               "must be excluded",
                                               "is not in the domain",
                                               "is not in the range",
                                               "is outside",
                                               "is not among",
                                               "isn't among",
                                               "is not one of",
                                               "isn't one of",
                                               "is not an option",
                                               "isn't an option",
                                               "does not match",
                                               "doesn't match",
                                               "cannot be ",
                                               "is a trap",
                                               "is a distractor",
                                               "is tempting",
                                               "seems right but",
                                               "looks right but",
                                               "would be the naive",
                                               "is the naive",
                                               "leads to contradiction",
                                               "is not the",
                                               "is not correct",
                                               "is not right",
                                               "is not valid",
                                               "is not possible",
                                               "is not a solution",
                                               "is not acceptable",
                                               "is not allowed",
                                               "is not it",
                                               "is not what",
                                               "is not true",
                                               "isn't the",
                                               "isn't right",
                                               "isn't correct",
                                               "isn't it",
                                               "isn't valid",
                                               "isn't possible",
                                               "is wrong",
                                               "is incorrect",
                                               "is impossible",
                                               "is false",
                                               "is ruled out",
                                               "can be ruled out",
                                               "can be excluded",
                                               "is excluded",
                                               "must be rejected",
                                               "should be rejected",
                                               "is rejected",
                                               "is invalid",
                                               "is too big",
                                               "is too small",
                                               "is too large",
                                               "is too high",
                                               "is too low",
                                               "is also wrong",
                                               "cannot be right",
                                               "cannot be correct",
                                               "cannot be the",
                                               "cannot be true",
                                               "cannot be it",
                                               "can't be right",
                                               "can't be correct",
                                               "can't be the",
                                               "can't be true",
                                               "can't be it",
                                               "can not be right",
                                               "was wrong",
                                               "was incorrect",
                                               "would be wrong",
                                               "would be incorrect",
                                               "must be wrong",
                                               "fails",
                                               "does not work",
                                               "does not satisfy",
                                               "does not hold",
                                               "does not fit",
                                               "doesn't work",
                                               "doesn't satisfy",
                                               "doesn't hold",
                                               "doesn't fit",
                                               "won't work",
                                               "should not be",
                                               "shouldn't be",
                                               "不对",
                                               "不是",
                                               "是错",
                                               "错",
                                               "不正确",
                                               "不成立",
                                               "不可能",
                                               "有误",
                                               "ist falsch",
                                               "ist nicht",
                                               "est faux",
                                               "est fausse",
                                               "n'est pas",
                                               "es incorrect",
                                               "no es",
                                               "está mal",
                                               "está errad",
                                               "não é",
                                               "è sbagliat",
                                               "non è",
                                               "неверно",
                                               "не является",
                                               "ではない",
                                               "ではありません",
                                               "は間違",
                                               "は誤",
                                               "아니",
                                               "이 아니",
                                               "가 아니",
                                               "은 틀",
                                               "ليس",
                                               "गलत",
                                               "नहीं",
                                               "is refuted",
                                               "is mistaken",
                                               "is erroneous",
                                               "is out of the question",
                                               "would be a mistake",
                                               "would be an error",
                                               "is a wrong",
                                               "is an incorrect",
                                               "is no solution",
                                               "is unacceptable",
                                               "is inadmissible",
                                               "contradicts",
                                               "leads to a contradiction",
                                               "gives a contradiction",
                                               "이 아닙",
                                               "가 아닙",
                                               "아닙",
                                               "では無",
                                               "じゃな",
                                               "is a common wrong",
                                               "is a common mistake",
                                               "is a common error",
                                               "isn't a solution",
                                               "isn't an answer",
                                               "is eliminated",
                                               "can be eliminated",
                                               "is discarded",
                                               "can be discarded",
                                               "is an extraneous",
                                               "is extraneous",
                                               "is the only value that fails",
                                               "is the only one that fails",
                                               "is the only value that does not",
                                               "is the answer to another",
                                               "is the answer to a different",
                                               "es incorrecto",
                                               "es incorrecta",
                                               "está errado",
                                               "está errada",
                                               "está mal",
                                               "est incorrecte",
                                               "was the old answer",
                                               "was my first",
                                               "was a wrong",
                                               "or maybe",
                                               "or perhaps",
                                               "or possibly",
                                               "est incorrect",
                                               "ist inkorrekt",
                                               "es falso",
                                               "está incorrect",
                                               "ошибочн",
                                               "неправильн"};

// Words that deny a value from anywhere in its clause, which begins behind the last comma or stop.
constexpr std::string_view kClauseDenials[] = {"someone claims",
                                               "wrong solution",
                                               "made a mistake we would get",
                                               "no way the",
                                               "wrong to conclude",
                                               "wrong to say",
                                               "wrong to think",
                                               "wrong to claim",
                                               "naive answer",
                                               "naive approach",
                                               "one might answer",
                                               "careless",
                                               "if it were",
                                               "for contradiction",
                                               "old answer",
                                               "no way that",
                                               "contrary to",
                                               "impossible that the answer",
                                               "false that the answer",
                                               "it is false that",
                                               "it's false that",
                                               "don't think",
                                               "do not think",
                                               "don't believe",
                                               "do not believe",
                                               "doubt that",
                                               "doubt the",
                                               "wrong answer",
                                               "wrong value",
                                               "incorrect answer",
                                               "incorrect value",
                                               "common mistake gives",
                                               "common mistake is",
                                               "mistakenly",
                                               "wrongly",
                                               "incorrectly",
                                               "erroneously",
                                               "common error",
                                               "common mistake",
                                               "used to think",
                                               "i thought it was",
                                               "you might think",
                                               "one would think",
                                               "suppose the answer",
                                               "suppose that the answer",
                                               "assume the answer",
                                               "assume that the answer",
                                               "assuming the answer",
                                               "if the answer",
                                               "one might guess",
                                               "one might think",
                                               "one might say",
                                               "it is tempting",
                                               "one may think",
                                               "one could think",
                                               "you may think",
                                               "you could think",
                                               "many think",
                                               "some think",
                                               "my first answer",
                                               "my first guess",
                                               "some may say",
                                               "some might say",
                                               "students often",
                                               "wrong approach",
                                               "incorrect approach",
                                               "had forgotten",
                                               "previous problem",
                                               "another problem",
                                               "other problem",
                                               "without the restriction",

                                               "the first answer was",
                                               "my initial answer",
                                               "initially i thought",
                                               "at first i thought",
                                               "no solution is",
                                               "no value is",
                                               "no number is",
                                               "❌",
                                               "✗",
                                               "✘",
                                               "错误答案",
                                               "误以为",
                                               "假设答案"};
// Words that deny a value from anywhere in the rest of its sentence.
constexpr std::string_view kLaterDenials[] = {"is just an example",
                                              "is only an example",
                                              "is just a guess",
                                              "is only a guess",
                                              "or something else",
                                              "turned out wrong",
                                              "turned out to be wrong",
                                              "but i disagree",
                                              "(?)",
                                              ", right?",
                                              "but that is incorrect",
                                              "but that is wrong",
                                              "but that's wrong",
                                              "but this is wrong",
                                              "but this is incorrect",
                                              "but it is wrong",
                                              "but that is not correct",
                                              "but that is not right",
                                              "but this is not correct",
                                              "but this is not right",
                                              "which is a mistake",
                                              "but i was wrong",
                                              "but that was wrong",
                                              "but this was wrong",
                                              "but it was wrong",
                                              "but was wrong",
                                              "but it is not",
                                              "but it isn't",
                                              "but this is not",
                                              "but that is not",
                                              "but that's not",
                                              "which was wrong",
                                              "which is wrong",
                                              "which is incorrect",
                                              "which is not correct",
                                              "which is not right",
                                              "which is not possible",
                                              "which is not the answer",
                                              "which is false",
                                              "which is impossible",
                                              "(wrong",
                                              "(incorrect",
                                              "(false)",
                                              "(not correct",
                                              "(not the answer",
                                              "is a mistake",
                                              "cannot decide",
                                              "can't decide",
                                              "could not decide",
                                              "not sure which",
                                              "unsure which",
                                              "✗",
                                              "✘",
                                              "❌",
                                              "但这是错",
                                              "但不对"};
// Marks that strike out the value behind them.
constexpr std::string_view kStruckBefore[] = {"~~",        "<del>",      "<s>",        "<strike>", "\\sout{",
                                              "\\cancel{", "\\xcancel{", "\\bcancel{", "\\st{"};

bool in_last_clause(std::string_view before) {
  constexpr size_t kClause = 100;
  auto clause = before.substr(before.size() > kClause ? before.size() - kClause : 0);
  for (const std::string_view stop : {". ", ".\n", "\n\n", "; ", ", ", "? ", "! ", ": ", "。", "，", " so ", " but ",
                                      " hence ", " thus ", " therefore "}) {
    const size_t at = clause.rfind(stop);
    if (at != std::string_view::npos) clause = clause.substr(at + stop.size());
  }
  const std::string low = lower(clause);
  const auto opening = trimmed(low);
  for (const std::string_view denial : {"it is not true that", "it's not true that", "it is not the case that"}) {
    if (opening.starts_with(denial)) return true;
  }
  if (low.find("no doubt") != std::string::npos || low.find("without doubt") != std::string::npos) return false;
  const size_t count = low.find("number of ");
  return std::any_of(std::begin(kClauseDenials), std::end(kClauseDenials), [&](std::string_view words) {
    const size_t at = low.find(words);
    const size_t end = at + words.size();
    if (at == std::string::npos || (end < low.size() && is_letter(low[end]))) return false;  // "wrong answers"
    const bool counted = count < at && (words.starts_with("wrong") || words.starts_with("incorrect"));
    return !counted;  // "the number of wrongly spelled words is 5"
  });
}

// "reject x =" without the name of the value.
std::string without_name(std::string tail) {
  auto rest = trimmed(tail);
  if (!rest.ends_with('=')) return tail;
  rest = trimmed(rest.substr(0, rest.size() - 1));
  const size_t space = rest.rfind(' ');
  return space != std::string_view::npos && rest.size() - space < 5 ? " " + std::string(rest.substr(0, space)) : tail;
}

// Whether the line or sentence before a value is a verdict on it and nothing else: "Incorrect: ", or a supposition.
bool is_dismissed(std::string_view before) {
  const auto clause = before.substr(before.size() > 100 ? before.size() - 100 : 0);
  size_t begin = 0;
  for (const std::string_view stop : {". ", "\n", "! ", "? "}) {
    const size_t at = clause.rfind(stop);
    if (at != std::string_view::npos) begin = std::max(begin, at + stop.size());
  }
  std::string sentence;
  for (const char c : lower(clause.substr(begin))) {
    if (c != '$' && c != '*' && c != ':') sentence += c;
  }
  const auto bare = trimmed(sentence);
  if (bare == "incorrect" || bare == "wrong" || bare == "false") return true;
  const bool supposes = bare.starts_with("suppose ") || bare.starts_with("assume ") || bare.starts_with("if ");
  return supposes && is_hypothesis(bare);
}

bool is_struck(std::string_view before) {
  const size_t end = before.find_last_not_of("$ ");
  const auto bare = before.substr(0, end == std::string_view::npos ? 0 : end + 1);
  return std::any_of(std::begin(kStruckBefore), std::end(kStruckBefore),
                     [&](std::string_view mark) { return bare.ends_with(mark); });
}

// Whether the denied value is the one that is asked for: "C is false, so it is the answer".
bool asked_for(std::string_view behind) {
  const size_t stop = std::min({behind.find(". "), behind.find('\n'), behind.size()});
  const std::string sentence = lower(behind.substr(0, std::min<size_t>(stop, 100)));
  for (const std::string_view link : {"so ", "hence ", "thus ", "therefore ", "and ", "which ", "making "}) {
    for (const std::string_view subject : {"it is ", "this is ", "that is ", "it's ", "is ", "it "}) {
      for (const std::string_view answer : {"the answer", "our answer", "what we", "the one we", "the required"}) {
        const size_t at = sentence.find(std::string(link) + std::string(subject) + std::string(answer));
        if (at != std::string::npos && sentence.find("not") > at) return true;
      }
    }
  }
  return false;
}

// A verdict behind a dash, colon or bracket: "\\boxed{5} [wrong]", "\\boxed{5}: incorrect.", "\\boxed{5} - no."
bool has_verdict(std::string_view behind) {
  const std::string head = head_of(behind);
  std::string_view rest = head;
  bool marked = false;
  for (bool moved = true; moved;) {
    moved = false;
    for (const std::string_view mark : {" ", ",", ":", "(", "[", "-", "–", "—"}) {
      if (!rest.starts_with(mark)) continue;
      rest.remove_prefix(mark.size());
      marked = marked || mark != " ";
      moved = true;
    }
  }
  for (const std::string_view word :
       {"wrong", "incorrect", "false", "nope", "no", "not correct", "not right", "rejected", "invalid", "extraneous"}) {
    if (!marked || !rest.starts_with(word)) continue;
    const auto next = trimmed(rest.substr(word.size()));
    if (next.empty() || std::string_view(".!,;)]").find(next[0]) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

bool denied_before(std::string_view before) {
  std::string tail = without_name(tail_of(before));
  if (ends_with_any(tail, kNothingElse)) return false;
  if (ends_with_any(tail, kWrongTo) || in_last_clause(before) || is_struck(before) || is_dismissed(before)) return true;
  for (bool moved = true; moved;) {
    if (ends_with_any(tail, kDenials)) return true;
    moved = false;
    for (const auto filler : kFillers) {
      if (!ends_with_word(tail, filler)) continue;
      tail = " " + std::string(trimmed(std::string_view(tail).substr(0, tail.size() - filler.size())));
      moved = true;
      break;
    }
  }
  return false;
}

bool list_denied_behind(std::string_view behind) {
  static constexpr std::string_view kDenials[] = {"do not work",  "don't work",     "do not satisfy",
                                                  "do not hold",  "fail",           "are wrong",
                                                  "are excluded", "are extraneous", "are not"};
  return starts_with_any(head_of(behind), kDenials);
}

bool denied_behind(std::string_view behind) {
  if (has_verdict(behind)) return true;
  if (starts_with_any(head_of(behind), kDenialsBehind)) return !asked_for(behind);
  // "$\\boxed{5}$? No." and "Is it $\\boxed{5}$?"
  size_t at = 0;
  while (at < behind.size() && (behind[at] == '$' || behind[at] == ' ' || behind[at] == '*' || behind[at] == ')' ||
                                behind.substr(at, 2) == "\\)"))
    at += behind[at] == '\\' ? 2 : 1;
  if (at < behind.size() && behind[at] == '?') return true;
  const size_t stop = std::min({behind.find(". "), behind.find('\n'), behind.find(".\n"), behind.size()});
  const std::string sentence = lower(behind.substr(0, std::min<size_t>(stop, 100)));
  return std::any_of(std::begin(kLaterDenials), std::end(kLaterDenials),
                     [&](std::string_view words) { return sentence.find(words) != std::string::npos; });
}

}  // namespace grpo::verifier
