#include "verifier/denial.h"

#include <algorithm>
#include <string>

#include "verifier/char_class.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

constexpr size_t kReach = 48;  // bytes before or behind a value in which words may deny it

constexpr std::string_view kDenials[] = {"nor",
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

constexpr std::string_view kDenialsBehind[] = {"must be discarded",
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
constexpr std::string_view kClauseDenials[] = {"no way the",
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
constexpr std::string_view kLaterDenials[] = {"turned out wrong",
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

constexpr std::string_view kBoxChangesBehind[] = {
    "th ",           "st ",         "nd ",          "rd ",          "plus",          "minus",  "divided by",
    "multiplied by", "and a half",  "and one half", "and a third",  "and a quarter", "halves", "thirds",
    "fourths",       "fifths",      "sixths",       "sevenths",     "eighths",       "ninths", "tenths",
    "hundredths",    "thousandths", "choose",       "to the power", "raised to"};

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

constexpr std::string_view kTextCommands[] = {"\\text", "\\textbf", "\\textit", "\\textrm", "\\mbox", "\\mathrm"};

// What \text{...} at the end of a text says: "not " of "\text{not }". Empty when no such command stands there.
std::string_view text_at_end(std::string_view before) {
  while (before.ends_with(' ') || before.ends_with("\\,") || before.ends_with("\\;"))
    before.remove_suffix(before.ends_with(' ') && !before.ends_with("\\ ") ? 1 : 2);
  if (!before.ends_with('}')) return {};
  const size_t open = before.rfind('{');
  if (open == std::string_view::npos) return {};
  const auto lead = before.substr(0, open);
  const bool text = std::any_of(std::begin(kTextCommands), std::end(kTextCommands),
                                [&](std::string_view command) { return lead.ends_with(command); });
  return text ? before.substr(open + 1, before.size() - open - 2) : std::string_view{};
}

// The text with what \text{...} at its front says in place of the command.
std::string spoken(std::string_view behind) {
  const size_t at = std::min(behind.find_first_not_of(" "), behind.size());
  const size_t skip = behind.substr(at).starts_with("\\ ") || behind.substr(at).starts_with("\\,") ? at + 2 : at;
  const auto rest = behind.substr(std::min(skip, behind.size()));
  for (const auto command : kTextCommands) {
    if (!rest.starts_with(command) || rest.substr(command.size(), 1) != "{") continue;
    const size_t close = rest.find('}');
    if (close == std::string_view::npos || close > kReach) break;
    return std::string(rest.substr(command.size() + 1, close - command.size() - 1)) +
           std::string(rest.substr(close + 1, 2 * kReach));
  }
  return std::string(behind.substr(0, 4 * kReach));
}

// The last words before a value, in lower case and without the signs that may open it, such as $ and brackets.
std::string tail_of(std::string_view before) {
  if (const auto text = text_at_end(before); !text.empty()) before = text;
  std::string out;
  for (const char c : before.substr(before.size() > kReach ? before.size() - kReach : 0)) {
    if (c != '$' && c != '(' && c != '[' && c != '\\' && c != '*' && c != '{') out += c == '\n' ? ' ' : c;
  }
  return " " + lower(trim(out));
}

std::string head_of(std::string_view all_behind) {
  const std::string said = spoken(all_behind);
  std::string_view behind = said;
  size_t at = 0;
  const size_t stop = behind.find("。");  // "$\\boxed{5}$。不对": the sentence behind is read
  const bool blank = stop != std::string_view::npos &&
                     behind.substr(0, stop).find_first_not_of(" \n$)*]\\}") == std::string_view::npos;
  if (blank) behind.remove_prefix(stop + std::string_view("。").size());
  while (at < behind.size() &&
         (is_space(behind[at]) || std::string_view("$)*]\\}.").find(behind[at]) != std::string_view::npos)) {
    if (behind[at] == '.' || (behind[at] == '\n' && at + 1 < behind.size() && behind[at + 1] == '\n')) return "";
    ++at;
  }
  std::string head;
  for (const char c : lower(behind.substr(at, kReach))) {
    if (c != '$' && !(c == ' ' && head.ends_with(' '))) head += c;
  }
  return head + " ";
}

// Whether the text ends in `word`, which has to be a word of its own if it is of Latin letters.
bool ends_with_word(std::string_view text, std::string_view word) {
  if (!text.ends_with(word)) return false;
  const size_t at = text.size() - word.size();
  return word == "n't" || !is_letter(word[0]) || at == 0 ||
         !(is_letter(text[at - 1]) || is_digit(text[at - 1]) || (text[at - 1] & 0x80) != 0);
}

template <size_t N>
bool ends_with_any(std::string_view text, const std::string_view (&words)[N]) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return ends_with_word(text, word); });
}

template <size_t N>
bool starts_with_any(std::string_view text, const std::string_view (&words)[N]) {
  return std::any_of(std::begin(words), std::end(words), [&](std::string_view word) {
    if (!text.starts_with(word)) return false;
    const char next = word.size() < text.size() ? text[word.size()] : ' ';
    return !is_letter(word.back()) || !is_letter(next) || static_cast<unsigned char>(word[0]) >= 0x80;
  });
}

bool in_last_clause(std::string_view before) {
  constexpr size_t kClause = 100;
  auto clause = before.substr(before.size() > kClause ? before.size() - kClause : 0);
  for (const std::string_view stop : {". ", ".\n", "\n\n", "; ", ", ", "? ", "! ", ": ", "。", "，", " so ", " but ",
                                      " hence ", " thus ", " therefore "}) {
    const size_t at = clause.rfind(stop);
    if (at != std::string_view::npos) clause = clause.substr(at + stop.size());
  }
  const std::string low = lower(clause);
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

namespace {

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

}  // namespace

namespace {

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

namespace {

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
      size_t end = at;
      while (end > first && std::string_view(" $}").find(low[end - 1]) != std::string_view::npos) --end;
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

}  // namespace

bool box_changed(std::string_view before, std::string_view behind) {
  if (is_one_case(behind) || is_other_case(before, behind)) return true;
  const auto touching = behind.substr(std::min(behind.find_first_not_of("$ "), behind.size()));
  if (starts_with_any(touching, kTouchingChanges)) return true;
  std::string_view lead = before;
  while (!lead.empty() && std::string_view(" $:,").find(lead.back()) != std::string_view::npos) lead.remove_suffix(1);
  if (ends_with_any(tail_of(lead), kBoxChangesBefore) || starts_with_any(head_of(behind), kBoxChangesBehind))
    return true;
  const auto head = head_of(behind);
  for (const std::string_view words : {"percent of ", "% of ", "out of ", "to ", "and ", "times ", "more than ",
                                       "less than ", "fewer than ", "->", "→"}) {  // "\boxed{5} and 6", "5% of 40"
    if (!head.starts_with(words) || head.size() <= words.size()) continue;
    size_t at = words.size();
    while (at < head.size() && std::string_view(" $(-").find(head[at]) != std::string_view::npos) ++at;
    const bool places = head.find("decimal") != std::string::npos || head.find("signif") != std::string::npos ||
                        head.find("place") != std::string::npos || head.find("digit") != std::string::npos;
    if (at < head.size() && is_digit(head[at]) && !places) return true;
  }
  if (head.starts_with("or not")) return true;
  // "\boxed{5} mod 3" would be 2. But where the text speaks of residues, the modulus belongs to the answer.
  const std::string low = lower(before.substr(before.size() > 80 ? before.size() - 80 : 0));
  const bool residue = low.find("equiv") != std::string::npos || low.find("≡") != std::string::npos ||
                       low.find("congruent") != std::string::npos || low.find("remainder") != std::string::npos ||
                       low.find("residue") != std::string::npos;
  if (!residue && (head.starts_with("mod ") || head.starts_with("modulo "))) return true;
  const std::string tail = tail_of(before);
  static constexpr std::string_view kBounds[] = {"less than", "more than", "greater than", "fewer than",
                                                 "at least",  "at most",   "up to",        "under",
                                                 "over",      "above",     "below"};
  if (!text_at_end(before).empty() && ends_with_any(tail, kBounds)) return true;  // \\text{at most }\\boxed{7}
  const bool beside = before.find("\\boxed") != std::string_view::npos;
  if (beside && ends_with_any(tail_of(lead), kSecondAnswers)) return true;
  if (tail.ends_with(" and") && tail.find(" between ") != std::string::npos) return true;  // "between 3 and \\boxed{5}"
  for (const std::string_view word : {" times", " to"}) {  // "2 times \\boxed{5}", "from 3 to \\boxed{5}"
    const bool number =
        tail.ends_with(word) && tail.size() > word.size() && is_digit(tail[tail.size() - word.size() - 1]);
    if (number) return true;
  }
  const bool either = ends_with_word(tail, "or") && tail.size() > 4 &&
                      (is_digit(tail[tail.size() - 4]) || tail[tail.size() - 4] == '$');
  return either;
}

bool changed_before(std::string_view before) {
  const std::string tail = tail_of(before);
  if (ends_with_any(tail, kChangesBefore)) return true;
  if (tail.ends_with(" and") && tail.find(" between ") != std::string::npos) return true;  // "between 5 and 6"
  const bool moves = tail.find(" from ") != std::string::npos;                             // "from 3 to 5" ends at 5
  for (const std::string_view word : {" in", " of", " to", " through"}) {                  // "3 in 7", "4.5 to 5"
    const bool behind_digit =
        tail.ends_with(word) && tail.size() > word.size() && is_digit(tail[tail.size() - word.size() - 1]);
    if (behind_digit && !(moves && word == " to")) return true;
  }
  return false;
}

bool changed_behind(std::string_view behind) {
  if (behind.size() > 1 && behind[0] == '-' && is_letter(behind[1])) return true;  // 5-digit
  const std::string head = head_of(behind);
  const std::string_view said = head.starts_with(", ") ? std::string_view(head).substr(2) : std::string_view(head);
  return starts_with_any(said, kChangesBehind);
}

}  // namespace grpo::verifier
