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
  std::string reason;  // why there is none
  bool boxed = false;
};

Extraction extract_answer(std::string_view response, const VerifierConfig& config);

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
/// One pass with a stack of braces.
Boxes find_boxes(std::string_view text);

/// The boxes up to the last one that the text does not deny ("\boxed{8} is wrong", "not \boxed{8}"); empty when it
/// takes its last box back without another one in the same sentence.
std::vector<Box> undenied(std::string_view text, std::vector<Box> boxes);

/// What a box stands for: its content with what of its formula is no other operand, as in -\boxed{7}, \boxed{7}\pi,
/// \frac{\boxed{7}}{2}; behind "x =" it stands alone.
std::string boxed_value(std::string_view text, const Box& box);

/// Index of the first box of the run that the last one ends.
size_t run_begin(std::string_view text, const std::vector<Box>& boxes);

/// The final answer of the boxes: the last one, or the run of boxes that only commas, "and", "or" and names join, as
/// one comma-separated list.
std::string final_boxes(std::string_view text, const std::vector<Box>& boxes, bool& several);

/// Content behind the last answer phrase ("the answer is", "la réponse est", "答案是", ...), cut at the end of its
/// sentence; `at` is where it stands. Empty when there is none.
std::string behind_answer_phrase(std::string_view text, size_t& at);

/// Body of the last $...$, $$...$$, \(...\) or \[...\]; `end` is behind it.
std::string last_math(std::string_view text, size_t& end);

/// The value that a prose text ends with, with the operators round its last number: "-3/4", "2 * 8", "(3, 8)", "28%".
/// Empty where words give the number another sense ("at least 5", "Theorem 8", "8th"). `at` is where it stands, npos
/// when empty.
std::string last_value(std::string_view text, size_t& at);

/// Readings of a sentence that states an answer, the best first: all of it, up to its explanation, its mathematics,
/// what follows its last "is", the value it ends with.
std::vector<std::string> sentence_readings(const std::string& sentence);

/// Whether a text is prose rather than mathematics: at least two words, or a long one that does not stand alone.
bool is_prose(std::string_view text);

/// The text takes back, doubts or offers several answers: no number may be picked out of it.
bool hedges(std::string_view sentence);

/// Without quotes, Markdown, labels ("Answer:", "x is"), trailing full stops and what shows the end of a proof.
std::string clean_answer(std::string_view text);

}  // namespace grpo::verifier
