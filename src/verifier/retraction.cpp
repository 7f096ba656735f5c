#include "verifier/retraction.h"

#include <algorithm>
#include <string>

#include "verifier/char_class.h"
#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

constexpr size_t kRetractionReach = 400;  // bytes behind an answer in which it may be taken back

// Words that open a sentence and announce a change of mind.
constexpr std::string_view kTurnsOfMind[] = {"wait",  "no",      "hmm",    "hm",         "oh",     "oops", "actually",
                                             "sorry", "hold on", "edit",   "correction", "update", "ah",   "however",
                                             "but",   "rather,", "really", "yet",        "typo",   "non",  "nein",
                                             "нет",   "等等",    "不",     "哦",         "更正"};

constexpr std::string_view kSubjects[] = {
    "that",       "this",      "it",        "that answer", "this answer", "the answer",   "that value",
    "this value", "my answer", "the above", "that result", "this result", "above answer", "the boxed answer"};

// What such a subject may be said to be. The verb stands with it, since "it is not the case that" denies no answer.
constexpr std::string_view kVerdicts[] = {"is wrong",
                                          "is not right",
                                          "is not correct",
                                          "is incorrect",
                                          "is not true",
                                          "is impossible",
                                          "is not the answer",
                                          "is not valid",
                                          "is invalid",
                                          "is false",
                                          "is a mistake",
                                          "is an error",
                                          "is not possible.",
                                          "is mistaken",
                                          "is absurd",
                                          "is not what we",
                                          "is not the right",
                                          "is not the correct",
                                          "isn't right",
                                          "isn't correct",
                                          "isn't the answer",
                                          "isn't true",
                                          "isn't possible.",
                                          "isn't valid",
                                          "was wrong",
                                          "was incorrect",
                                          "was a mistake",
                                          "was not right",
                                          "was not correct",
                                          "wasn't right",
                                          "wasn't correct",
                                          "cannot be right",
                                          "cannot be correct",
                                          "cannot be true",
                                          "cannot be the answer",
                                          "can't be right",
                                          "can't be correct",
                                          "can't be true",
                                          "can't be the answer",
                                          "does not work",
                                          "doesn't work",
                                          "does not make sense",
                                          "doesn't make sense",
                                          "does not satisfy",
                                          "doesn't satisfy",
                                          "does not fit",
                                          "doesn't fit",
                                          "does not match",
                                          "doesn't match",
                                          "does not hold",
                                          "doesn't hold",
                                          "contradicts the",
                                          "leads to a contradiction",
                                          "gives a contradiction",
                                          "is a contradiction",
                                          "contradicts our",
                                          "violates",
                                          "fails the",
                                          "fails to",
                                          "fails.",
                                          "seems wrong",
                                          "looks wrong",
                                          "must be wrong",
                                          "does not look right",
                                          "doesn't look right",
                                          "does not seem right",
                                          "doesn't seem right"};

// Sentences that take back whatever stands before them.
constexpr std::string_view kRetractions[] = {"scratch that",
                                             "just kidding",
                                             "never mind",
                                             "nevermind",
                                             "strike that",
                                             "disregard",
                                             "ignore that",
                                             "ignore the above",
                                             "i was wrong",
                                             "i meant",
                                             "i misread",
                                             "i take that back",
                                             "i take it back",
                                             "my mistake",
                                             "my bad",
                                             "i miscalculated",
                                             "i miscounted",
                                             "i retract",
                                             "there is a mistake in my",
                                             "there is an error in my",
                                             "das ist falsch",
                                             "das ist nicht richtig",
                                             "c'est faux",
                                             "esto es incorrecto",
                                             "eso es incorrecto",
                                             "это неверно",
                                             "这个答案是错",
                                             "这是错",
                                             "以上答案有误",
                                             "上面的答案有误",
                                             "答案有误",
                                             "不对"};
// The same where a value follows, so that "it should be noted" takes nothing back.
constexpr std::string_view kOtherAnswers[] = {"on second thought",
                                              "it should be",
                                              "should be",
                                              "it should have been",
                                              "should have been",
                                              "make that",
                                              "i mean",
                                              "应该是",
                                              "应为",
                                              "是",
                                              "or maybe",
                                              "or perhaps",
                                              "or possibly",
                                              "it could be",
                                              "it might be",
                                              "it could also be",
                                              "it may be",
                                              "it's actually",
                                              "it is actually",
                                              "that's actually",
                                              "the correct value is",
                                              "the right value is",
                                              "the true value is",
                                              "the correct result is",
                                              "the correct number is",
                                              "the correct value should be",
                                              "c'est",
                                              "es ist",
                                              "es",
                                              "это"};

// The same where nothing but the value follows: "Maybe 6.", but not "Maybe 6 lines suffice for a proof."
constexpr std::string_view kDoubts[] = {"maybe", "perhaps", "possibly", "alternatively"};

constexpr std::string_view kConfirmations[] = {"still",      "the same",      "unchanged",  "remains",   "stands",
                                               "is right",   "corrected",     "fixed",      "at first",  "initially",
                                               "earlier",    "first attempt", "indeed",     "confirm",   "holds",
                                               "is correct", "matches",       "consistent", "no change", "正确"};

bool starts_with_words(std::string_view text, std::string_view words) {
  return text.starts_with(words) &&
         (text.size() == words.size() || !is_letter(words.back()) || !is_letter(text[words.size()]));
}

template <size_t N>
std::string_view words_at(std::string_view text, const std::string_view (&list)[N]) {
  std::string_view longest;
  for (const auto words : list) {
    if (words.size() > longest.size() && starts_with_words(text, words)) longest = words;
  }
  return longest;
}

std::string_view without_marks(std::string_view text) {
  for (bool moved = true; moved;) {
    moved = false;
    for (const std::string_view mark : {" ", "\n", "$", ".", "!", "(", ")", "*", "]",  "\\)", "\\]", "}", "#",
                                        "_", "-",  ":", ",", ";", "—", "–", "…", "。", "，",  "：",  "！"}) {
      if (!text.starts_with(mark)) continue;
      text.remove_prefix(mark.size());
      moved = true;
    }
  }
  return text;
}

// The end of the sentence that begins at `at`; a full stop before a digit belongs to a number.
size_t end_of_sentence(std::string_view text, size_t at) {
  for (; at < text.size(); ++at) {
    const char c = text[at];
    const bool number = c == '.' && at + 1 < text.size() && is_digit(text[at + 1]);
    if (c == '\n' || c == '!' || c == '?' || (c == '.' && !number)) return at + 1;
    if (text.substr(at, 3) == "。" || text.substr(at, 3) == "！") return at + 3;
  }
  return text.size();
}

// Whether a value begins here that the answer does not begin with.
bool begins_other_value(std::string_view text, std::string_view answer) {
  const auto drop_marks = [&] {
    while (!text.empty() && std::string_view(" $,:*(").find(text[0]) != std::string_view::npos) text.remove_prefix(1);
  };
  drop_marks();
  for (const std::string_view verb : {"it's ", "it is ", "that's ", "it must be ", "the answer is "}) {
    if (text.starts_with(verb)) text.remove_prefix(verb.size());
  }
  drop_marks();
  const auto value = text.substr(0, std::min(text.find_first_of(" $,;.!\n"), text.size()));
  const bool begins =
      !value.empty() && (is_digit(value[0]) || ((value[0] == '-' || value[0] == '\\') && value.size() > 1));
  return begins && std::any_of(value.begin(), value.end(), is_digit) && !value.starts_with("\\boxed") &&
         !lower(answer).starts_with(value);
}

// Whether a sentence is nothing but such a value: "6.", "it's $\frac13$". An equation may be a check.
bool is_other_value(std::string_view sentence, std::string_view answer) {
  for (const std::string_view verb : {"it's ", "it is ", "that's ", "it must be "}) {
    if (sentence.starts_with(verb)) sentence.remove_prefix(verb.size());
  }
  size_t words = 0;
  for (size_t i = 0; i < sentence.size(); ++i) {
    if (sentence[i] == '\\') {
      while (i + 1 < sentence.size() && is_letter(sentence[i + 1])) ++i;
    } else if (is_letter(sentence[i])) {
      ++words;
    }
  }
  return words == 0 && sentence.size() < 40 && sentence.find('=') == std::string_view::npos &&
         begins_other_value(sentence, answer);
}

bool has_digit(std::string_view text) { return std::any_of(text.begin(), text.end(), is_digit); }

// A sentence without the words that turn it ("Wait, no, ..."); `turned` says whether there were any.
std::string_view without_turns(std::string_view sentence, bool& turned) {
  for (;;) {
    sentence = without_marks(sentence);
    const auto turn = words_at(sentence, kTurnsOfMind);
    if (turn.empty() || !words_at(sentence, kRetractions).empty()) return sentence;
    turned = true;
    sentence.remove_prefix(turn.size());
  }
}

// "Actually it should be 6" and the like deny also from the midst of a sentence.
bool corrects_within(std::string_view low) {
  static constexpr std::string_view kPhrases[] = {
      "actually it should be",  "actually it is",      "actually, it is",
      "actually, it should be", "actually the answer", "actually, the answer",
      "should have been ",      "actually no",         "correction:"};
  return std::any_of(std::begin(kPhrases), std::end(kPhrases), [&](std::string_view words) {
    const size_t at = low.find(words);
    return at != std::string_view::npos && has_digit(low.substr(at));
  });
}

bool confirms(std::string_view low) {
  return std::any_of(std::begin(kConfirmations), std::end(kConfirmations),
                     [&](std::string_view words) { return low.find(words) != std::string_view::npos; });
}

// "Wrong!", "Not quite.": a sentence that is nothing but a verdict.
bool is_verdict(std::string_view sentence) {
  while (!sentence.empty() && !is_letter(sentence.back())) sentence.remove_suffix(1);
  for (const std::string_view words : {"wrong", "incorrect", "not quite", "not right", "not correct", "false", "nope",
                                       "too low", "too high", "that's too low", "that's too high", "that is too low",
                                       "that is too high", "this is too low", "this is too high"}) {
    if (sentence == words) return true;
  }
  return false;
}

// "That is not right", "it's wrong", but not "that is wrong if n is odd".
bool denies(std::string_view sentence) {
  if (is_verdict(sentence)) return true;
  const auto subject = words_at(sentence, kSubjects);
  if (subject.empty()) return false;
  std::string predicate(trimmed(sentence.substr(subject.size())));
  if (predicate.starts_with("'s ")) predicate = "is" + predicate.substr(2);
  const auto verdict = words_at(predicate, kVerdicts);
  if (verdict.empty()) return false;
  const auto rest = trimmed(std::string_view(predicate).substr(verdict.size()));
  return !rest.starts_with("to ") && !rest.starts_with("if ") && !rest.starts_with("for ") &&
         !rest.starts_with("when ") && !rest.starts_with("unless ");
}

bool admits_mistake(std::string_view sentence) {
  const bool made = sentence.starts_with("i made a") || sentence.starts_with("i have made a");
  return made && (sentence.find("mistake") != std::string_view::npos ||
                  sentence.find("error") != std::string_view::npos || sentence.find("slip") != std::string_view::npos);
}

// "But the question asks for x + 1, which is 6": what stands before is a step. "But we need to check" is a remark.
bool asks_for_more(std::string_view sentence) {
  bool asks = false;
  for (const std::string_view words : {"the question asks for", "the question asks to", "the problem asks for",
                                       "the problem asks to", "we need to find", "we need the", "we want the",
                                       "we are asked for", "we are asked to find", "we were asked for"})
    asks = asks || sentence.starts_with(words);
  return asks && has_digit(sentence);
}

}  // namespace

bool is_retracted(std::string_view answer, std::string_view behind) {
  const std::string text = lower(behind.substr(0, kRetractionReach));
  const std::string_view low = text;
  if (corrects_within(low.substr(0, 300))) return true;
  bool first = true;    // nothing but turns stood before this sentence
  bool turned = false;  // and there was one of them
  for (size_t at = 0; at < low.size();) {
    const size_t end = end_of_sentence(low, at);
    bool turns = first && turned;
    const auto sentence = without_turns(low.substr(at, end - at), turns);
    const auto rest = low.substr(end);
    at = end;
    if (sentence.empty()) {
      turned = turned || turns;
      continue;
    }
    const bool back = !words_at(sentence, kRetractions).empty() || admits_mistake(sentence);
    if (back && !confirms(sentence) && !confirms(rest)) return true;
    const auto replacement = words_at(sentence, kOtherAnswers);
    const auto doubt = words_at(sentence, kDoubts);
    const bool replaced = (!replacement.empty() && begins_other_value(sentence.substr(replacement.size()), answer)) ||
                          (!doubt.empty() && is_other_value(without_marks(sentence.substr(doubt.size())), answer));
    const bool denied = first && denies(sentence);
    const bool corrected = turns && (is_other_value(sentence, answer) || asks_for_more(sentence));
    if (((first || turns) && (replaced || denied || corrected)) && !confirms(rest)) return true;
    first = false;
  }
  return false;
}

}  // namespace grpo::verifier
