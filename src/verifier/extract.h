#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grpo/verifier/verifier.h"

namespace grpo::verifier {

/// What a response offers as its final answer.
struct Extraction {
  std::vector<std::string> candidates;  // readings of one answer, the best first; empty when there is none
  std::string rule;    // "box", "boxes", "answer tag", "phrase", "####", "math", "whole", "last number"
  std::string reason;  // why there is no answer
  // The whole text is LaTeX: no further fallback is asked, since no number may be picked out of LaTeX that does not
  // parse.
  bool latex = false;
  bool stated = true;   // false: a value in running text, or an expression and nothing else
  bool asked = false;   // the sentence says what is to be done, "We need to expand ..."
  std::string earlier;  // the value before the last number, for where that is a calculation: "175 in all (98 + 77)"
};

Extraction extract_answer(std::string_view response, const VerifierOptions& options);

/// A complete \boxed{} or \fbox{} (or \boxed 5) outside code blocks and other boxes.
struct Box {
  size_t begin = 0;  // of the backslash
  size_t end = 0;    // behind the box
  size_t content_begin = 0;
  size_t content_end = 0;
};
struct Boxes {
  std::vector<Box> complete;
  bool last_unfinished = false;  // the last box to open never closes
};
/// Takes time linear in the text: one pass with a stack of braces.
Boxes find_boxes(std::string_view text);

/// The boxes up to the last one that the text does not deny ("\boxed{8} is wrong", "not \boxed{8}"); empty when the
/// text denies its last box and no other box stands close before it in the same sentence.
std::vector<Box> undenied(std::string_view text, std::vector<Box> boxes);

/// The value that a box stands for. It is the operand of the formula in which the box stands: all of -\boxed{7},
/// \boxed{7}\pi and \frac{\boxed{7}}{2}, but 7 alone in x = \boxed{7}.
std::string boxed_value(std::string_view text, const Box& box);

/// Index of the first box of the run (see final_boxes()) that ends with the last box. REQUIRES: there is a box.
size_t run_begin(std::string_view text, const std::vector<Box>& boxes);

/// The final answer that the boxes give: the value of the last one. A run of boxes between which only commas, "and",
/// "or" and names stand is one list, "x=3 , y=4"; `several` says whether it is. REQUIRES: there is a box.
std::string final_boxes(std::string_view text, const std::vector<Box>& boxes, bool& several);

/// The text between the last answer phrase ("the answer is", "la réponse est", "答案是", ...) and the end of its
/// sentence; `at` is where the phrase begins. Empty, with `at` npos, when there is no such phrase.
std::string behind_answer_phrase(std::string_view text, size_t& at);

/// Body of the last $...$, $$...$$, \(...\) or \[...\]; `end` is the position behind the closing sign. Empty, with
/// `end` npos, when there is none.
std::string last_math(std::string_view text, size_t& end);

/// The value that a prose text ends with, with the operators round its last number: "-3/4", "2 * 8", "(3, 8)", "28%".
/// Empty where words show that the number is not the answer ("at least 5", "Theorem 8", "8th"). `at` is where the value
/// begins, npos when it is empty.
std::string last_value(std::string_view text, size_t& at);

/// Whether a word in front of a value makes it negative: "minus", "moins", "负". False behind a number, where it
/// subtracts.
bool negated_by_word(std::string_view before);

/// The items before the last one of a list in prose: "1, 2, " for "The roots are $1$, $2$, and ". Empty when the text
/// ends in no list that it introduces ("are", "values:"), that has three items or more or that offers values of one
/// name ("x = 3 or x = 4"). `begin` is where the first item begins, or the size of the text; `last` is the last item.
std::string items_before(std::string_view before, size_t& begin, std::string_view last = "");

/// Readings of a sentence that states an answer, the best first: the whole sentence, the sentence up to its explanation
/// ("5, since ..."), its mathematics, the words behind its last "is", the value that it ends with.
std::vector<std::string> sentence_readings(const std::string& sentence);

/// What a text says behind its last full stop or line break.
std::string_view last_sentence(std::string_view text);

/// Whether a sentence only sets the scene: "Let x = 5", "Suppose that x = 5", "For n = 5", up to here without a verb or
/// a comma behind which it could say what follows.
bool is_hypothesis(std::string_view sentence);

/// Whether a text is prose rather than mathematics: at least two words, or a long one that does not stand alone.
bool is_prose(std::string_view text);

/// Whether the text doubts its answer, takes it back or offers several, so that no number may be picked out of it.
bool hedges(std::string_view sentence);

/// The text without quotes, Markdown, labels ("Answer:", "x is"), trailing full stops and signs that end a proof.
std::string clean_answer(std::string_view text);

}  // namespace grpo::verifier
