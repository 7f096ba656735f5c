#include <algorithm>
#include <array>

#include "verifier/budget.h"
#include "verifier/char_class.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"
#include "verifier/number_lexer.h"

namespace grpo::verifier {
namespace {

constexpr size_t kLongestHead = 40;  // bytes; longer than any opening that clean_answer() takes away
constexpr size_t kSearched = 8000;   // bytes at the end of a response in which a phrase or number is looked for

// Words that announce an answer. `joiner` says whether "is" or a colon has to follow.
struct Phrase {
  std::string_view words;
  bool joiner = true;
  bool direct = false;  // the joiner has to stand right behind the words
};
constexpr Phrase kPhrases[] = {
    {"correct option"}, {"correct choice"}, {"answer"},      {"answers"},       {"réponse"},     {"respuesta"},
    {"antwort"},        {"resposta"},       {"risposta"},    {"ответ"},         {"Ответ"},       {"答案", false},
    {"答え", false},    {"答：", false},    {"故选", false}, {"所以选", false}, {"应选", false}, {"因此选", false},
    {"答:", false},     {"정답", false},    {"답은", false}, {"الإجابة"},       {"الجواب"},      {"الاجابة"},
    {"उत्तर", false},    {"जवाब", false},    {"正解", false}, {"本题选", false}, {"正确选项"},    {"ans", true, true},
};

// What may stand between the phrase and the answer.
constexpr std::string_view kJoiners[] = {
    "would be", "must be", "will be",   "should be", "is",   "are",      "was",      "est",      "es",       "é",
    "è",        "ist",     "lautet",    "son",       "sont", "finale",   "final",    "النهائية", "النهائي",  "الصحيحة",
    "是",       "为",      "為",        "は",        "은",   "는",       "هي",       "هو",       "है",        "：",
    ":",        "=",       "**",        "*",         "__",   "correcta", "correcte", "correta",  "corretta", "korrekte",
    "exacte",   "\\text",  "therefore", "simply",    "thus", "indeed",   "actually", "应为",     "应该是",   "等于",
};

bool is_joining(std::string_view joiner) {
  return joiner != "finale" && joiner != "final" && joiner != "**" && joiner != "*" && joiner != "__" &&
         !joiner.starts_with("corre") && joiner != "korrekte" && joiner != "exacte" && joiner != "النهائية" &&
         joiner != "النهائي" && joiner != "الصحيحة";
}

// Skips joiners. `joined` becomes true if one of them was a verb or sign such as "is" or ":"; Markdown and adjectives
// like "final" alone do not join.
size_t skip_joiners(std::string_view low, size_t at, bool& joined) {
  bool moved = true;
  while (moved) {
    moved = false;
    while (at < low.size() && (low[at] == ' ' || low[at] == '\t')) ++at;
    for (const auto joiner : kJoiners) {
      if (low.substr(at, joiner.size()) != joiner) continue;
      const bool word = is_letter(joiner.back());
      const char next = at + joiner.size() < low.size() ? low[at + joiner.size()] : ' ';
      if (word && is_letter(next)) continue;
      joined = joined || is_joining(joiner);
      at += joiner.size();
      moved = true;
      break;
    }
  }
  return at;
}

// The position behind an " is " that stands a few words on in the same sentence, as in "The answer to the problem, in
// lowest terms, is 5"; npos when there is none.
size_t far_joiner(std::string_view low, size_t at) {
  const size_t end = std::min(low.size(), at + 80);
  for (size_t i = at; i < end && low[i] != '\n' && !(low[i] == '.' && i + 1 < low.size() && is_space(low[i + 1]));
       ++i) {
    for (const std::string_view word : {" is ", " are ", " is: "}) {
      if (low.substr(i, word.size()) == word) return i + word.size() - 1;
    }
  }
  return std::string_view::npos;
}

// The end of the sentence that begins at `at`: a full stop that no digit follows, or the end of the line; mathematics
// is not cut.
size_t sentence_end(std::string_view text, size_t at) {
  bool math = false;
  int display = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      const char next = text[i + 1];
      if (next == '[' || next == '(') ++display;
      if (next == ']' || next == ')') --display;
      ++i;
      continue;
    }
    if (c == '$') {
      math = !math;
      if (i + 1 < text.size() && text[i + 1] == '$') ++i;
    }
    if (c == '\n' && !math && display <= 0) return i;
    if (math || display > 0) continue;
    if (text.substr(i, 3) == "。") return i;
    const bool stop = (c == '.' || c == '!' || c == '?') &&
                      (i + 1 == text.size() || is_space(text[i + 1]) || text[i + 1] == '*' || text[i + 1] == '<');
    const bool abbreviation =
        i >= 1 && c == '.' &&
        (text.substr(i >= 3 ? i - 3 : 0, 4) == "a.m." || text.substr(i >= 3 ? i - 3 : 0, 4) == "p.m.");
    const bool factorial = c == '!' && i > at &&
                           (is_digit(text[i - 1]) || (text[i - 1] == ')' && i > at + 1 && is_digit(text[i - 2]))) &&
                           (i + 1 == text.size() || is_space(text[i + 1]));
    const bool item = c == '.' && i == at + 1 && is_upper(text[at]);  // "B. 12"
    if (stop && !abbreviation && !factorial && !item) return i;
  }
  return text.size();
}

bool is_blank_markup(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return is_space(c) || c == '*' || c == '_' || c == '#'; });
}

// The length of the mark of a list or quote at the beginning of a line: "- ", "> ", "1. ".
size_t mark_length(std::string_view line) {
  for (const std::string_view mark : {"- ", "> ", "* ", "• ", "– ", "1. ", "1) "}) {
    if (line.starts_with(mark)) return mark.size();
  }
  return 0;
}

// mark_length() where the next line is no item, too: of a list, its first item is not the answer.
size_t single_item_mark(std::string_view text) {
  const size_t next = text.find('\n');
  const auto below = next == std::string_view::npos ? std::string_view{} : trimmed(text.substr(next));
  const bool item = mark_length(below) > 0 || (below.size() > 2 && is_digit(below[0]) && below[1] == '.');
  return item ? 0 : mark_length(text);
}

std::string sentence_at(std::string_view text, size_t at) {
  while (at < text.size() && is_space(text[at]) && text[at] != '\n') ++at;
  size_t end = sentence_end(text, at);
  // "**Final Answer**" is a heading: the answer stands on the next line.
  for (int lines = 0; lines < 3 && is_blank_markup(text.substr(at, end - at)) && end < text.size(); ++lines) {
    at = end + 1;
    while (at < text.size() && is_space(text[at])) ++at;
    at += single_item_mark(text.substr(at));
    end = sentence_end(text, at);
  }
  return std::string(text.substr(at, end - at));
}

// Whether a sentence that ends in an answer phrase speaks of another answer: "A common wrong answer is 6", "Without the
// restriction, the answer is 6".
bool speaks_of_another(std::string_view low) {
  size_t begin = 0;
  for (const std::string_view stop :
       {". ", "\n", "! ", "? ", "; ", "。", " so ", " hence ", " thus ", " therefore ", " but "}) {
    const size_t at = low.rfind(stop);
    if (at != std::string_view::npos) begin = std::max(begin, at + stop.size());
  }
  const auto sentence = low.substr(begin);
  static constexpr std::string_view kOthers[] = {
      "wrong",       "incorrect",        "mistaken",        "students",       "might think",       "may think",
      "would think", "could think",      "tempting",        "for comparison", "without the",       "had we",
      "if we had",   "previous problem", "another problem", "other problem",  "different problem", "some say",
      "you might",   "instead"};
  return std::any_of(std::begin(kOthers), std::end(kOthers), [&](std::string_view words) {
    const size_t at = sentence.find(words);
    return at != std::string_view::npos && sentence.find("not ") > at;
  });
}

// "The answer is correct", "the answer is in dollars": what is said of an answer, and none.
bool is_remark(std::string_view content) {
  if (std::any_of(content.begin(), content.end(), [](char c) { return is_digit(c) || c == '\\' || c == '$'; }))
    return false;
  const std::string low = lower(content);
  for (const std::string_view word : {"correct", "reasonable", "valid", "verified", "confirmed", "consistent", "in ",
                                      "plausible", "sensible", "indeed correct", "therefore correct"}) {
    if (low.starts_with(word) && (word.ends_with(' ') || low.size() == word.size() || !is_letter(low[word.size()])))
      return true;
  }
  return false;
}

// Without the marks of bold type inside a line, which between operands would be a power: "**18** apples", "<b>18</b>".
std::string without_bold(std::string text) {
  for (const std::string_view name : {"b>", "strong>", "em>", "u>"}) {
    const std::string open = "<" + std::string(name), close = "</" + std::string(name);
    for (size_t at = text.find(close); at != std::string::npos; at = text.find(close)) {
      text.erase(at, close.size());
      if (const size_t begin = text.rfind(open, at); begin != std::string::npos) text.erase(begin, open.size());
    }
  }
  const auto stands_apart = [&](size_t at) {
    return at >= text.size() || !(is_letter(text[at]) || is_digit(text[at]) ||
                                  std::string_view("({\\-").find(text[at]) != std::string_view::npos);
  };
  for (size_t at = text.find("**"); at != std::string::npos; at = text.find("**", at)) {
    const bool closes = at > 0 && !is_space(text[at - 1]) && stands_apart(at + 2);
    const size_t close = text.find("**", at + 2);
    const bool opens = (at == 0 || is_space(text[at - 1])) && at + 2 < text.size() && !is_space(text[at + 2]) &&
                       close != std::string::npos && stands_apart(close + 2);
    if (closes || opens) {
      text.erase(at, 2);
    } else {
      at += 2;
    }
  }
  return text;
}

}  // namespace

std::string behind_answer_phrase(std::string_view text, size_t& at) {
  const size_t offset = text.size() > kSearched ? text.size() - kSearched : 0;
  const std::string_view tail = text.substr(offset);
  const std::string low = lower(tail);
  std::string best;
  size_t best_at = std::string_view::npos;
  for (const auto& phrase : kPhrases) {
    for (size_t found = low.rfind(phrase.words); found != std::string::npos;
         found = found == 0 ? std::string::npos : low.rfind(phrase.words, found - 1)) {
      if (best_at != std::string_view::npos && found <= best_at) break;
      if (found > 0 && is_letter(low[found - 1]) && is_letter(phrase.words[0])) continue;
      constexpr size_t kSentence = 160;
      const size_t lead = found > kSentence ? found - kSentence : 0;
      if (speaks_of_another(std::string_view(low).substr(lead, found - lead))) continue;
      const size_t behind = found + phrase.words.size();
      bool joined = false;
      size_t start = skip_joiners(low, behind, joined);
      if (phrase.direct && !joined) continue;
      if (phrase.joiner && !joined) {
        // A heading, or mathematics right behind the word: "Answer \[ 9 \]".
        const bool direct =
            start < low.size() && (low[start] == '\n' || low[start] == '$' || low.compare(start, 2, "\\(") == 0 ||
                                   low.compare(start, 2, "\\[") == 0);
        start = direct ? start : far_joiner(low, behind);
        if (start == std::string_view::npos) continue;
      }
      const std::string content = sentence_at(tail, start);
      if (is_blank_markup(content) || is_remark(content)) continue;
      best = content;
      best_at = found;
      break;
    }
  }
  at = best_at == std::string_view::npos ? best_at : best_at + offset;
  // Hindi, Korean and Japanese put the verb last: "उत्तर 42 है".
  for (const std::string_view verb : {" है", "है", "입니다", "이다", "です", "である"}) {
    if (best.ends_with(verb)) best.resize(best.size() - verb.size());
  }
  return best;
}

std::string last_math(std::string_view text, size_t& end) {
  std::string body;
  end = std::string_view::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    std::string_view close;
    size_t begin = i + 1;
    if (text[i] == '\\' && i + 1 < text.size()) {
      if (text[i + 1] == '(') close = "\\)";
      if (text[i + 1] == '[') close = "\\]";
      begin = i + 2;
    } else if (text[i] == '$') {
      close = text.substr(i, 2) == "$$" ? "$$" : "$";
      begin = i + close.size();
    }
    if (close.empty()) {
      if (text[i] == '\\') ++i;
      continue;
    }
    size_t stop = text.find(close, begin);
    while (stop != std::string_view::npos && close == "$" && stop > 0 && text[stop - 1] == '\\')
      stop = text.find(close, stop + 1);
    if (stop == std::string_view::npos) return body;
    // The signs of "$5 * 3 = $15" and "$15 and he had $20" are money; "$x+y=$10" is a formula and its value.
    const bool money = close == "$" && stop > begin && is_digit(text[begin]) && text[stop - 1] == ' ' &&
                       text.find_first_of("0123456789", stop) == text.find_first_not_of(' ', stop + 1) &&
                       text.find_first_not_of(' ', stop + 1) != std::string_view::npos;
    if (money) continue;
    const std::string inside = trim(text.substr(begin, stop - begin));
    if (!inside.empty()) {
      body = inside;
      end = stop + close.size();
    }
    i = stop + close.size() - 1;
  }
  return body;
}

std::string clean_answer(std::string_view text) {
  static constexpr std::string_view kHeads[] = {"**",
                                                "__",
                                                "*",
                                                "`",
                                                "\"",
                                                "\xE2\x80\x9C",
                                                "approximately ",
                                                "about ",
                                                "exactly ",
                                                "simply ",
                                                "just ",
                                                "equal to ",
                                                "x is ",
                                                "equals ",
                                                "therefore ",
                                                "\\therefore",
                                                "\\displaystyle",
                                                "\\approx",
                                                "approx. ",
                                                "answer:",
                                                "answer is ",
                                                "the answer is ",
                                                "final answer:",
                                                "\\text{answer: }",
                                                "\\text{answer:}",
                                                "\\text{the answer is }",
                                                "\\text{the answer is}",
                                                "\\text{approximately }",
                                                "\\text{about }"};
  static constexpr std::string_view kTails[] = {"**",
                                                "__",
                                                "*",
                                                "`",
                                                "\"",
                                                "\xE2\x80\x9D",
                                                ".",
                                                ",",
                                                ";",
                                                ":",
                                                "\xE3\x80\x82",
                                                "\xEF\xBC\x8C",
                                                "\\blacksquare",
                                                "\\square",
                                                "\\Box",
                                                "\\qed",
                                                "\\checkmark",
                                                "\\quad",
                                                "\\\\",
                                                "\xE2\x88\x8E",
                                                "\xE2\x9C\x93",
                                                "\xE2\x9C\x85",
                                                "</answer>",
                                                "\\,",
                                                "\\ "};
  std::string out = trim(text);
  if (out.size() > kMaxAnswerBytes) return out;  // too long for an answer, whatever stands around it
  out = without_bold(std::move(out));
  if (out.ends_with('\\') && !out.ends_with("\\\\")) out += ' ';  // "\ " at the end was a space
  std::string_view rest = out;
  if (rest.size() > 2 && rest.front() == '\'' && rest.back() == '\'') rest = trimmed(rest.substr(1, rest.size() - 2));
  bool moved = true;
  while (moved && !rest.empty()) {
    moved = false;
    const std::string low = lower(rest.substr(0, kLongestHead));
    for (const auto head : kHeads) {
      if (!low.starts_with(head) || rest.size() == head.size()) continue;
      rest = trimmed(rest.substr(head.size()));
      moved = true;
      break;
    }
    for (const auto tail : kTails) {
      if (moved || !rest.ends_with(tail)) continue;
      if (tail == "." && (rest.ends_with("a.m.") || rest.ends_with("p.m.") || rest.ends_with("A.M.") ||
                          rest.ends_with("P.M.") || rest.ends_with("...")))
        continue;
      if ((tail == "," || tail == ";" || tail == ":" || tail == "\\,") && rest.size() > 1 && tail.size() == 1 &&
          rest[rest.size() - 2] == '\\')
        continue;
      rest = trimmed(rest.substr(0, rest.size() - tail.size()));
      if (rest.ends_with('\\') && !rest.ends_with("\\\\")) rest.remove_suffix(1);  // was "\ " before trimmed()
      moved = true;
    }
  }
  return std::string(rest);
}

}  // namespace grpo::verifier
