#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grpo/reward/verifier.h"

namespace grpo::reward {

/// What a response offers as its final answer.
struct Extraction {
  std::vector<std::string> candidates;  // readings of one answer, the best first; empty when there is none
  std::string rule;                     // "box", "boxes", "answer tag", "phrase", "####", "math", "whole", "last number"
  std::string reason;                   // why there is none
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

/// The final answer of the boxes: the last one, or the run of boxes that only commas, "and", "or" and names join, as one
/// comma-separated list.
std::string final_boxes(std::string_view text, const std::vector<Box>& boxes, bool& several);

/// Content behind the last answer phrase ("the answer is", "la réponse est", "答案是", ...), cut at the end of its
/// sentence; `at` is where it stands. Empty when there is none.
std::string behind_answer_phrase(std::string_view text, size_t& at);

/// Body of the last $...$, $$...$$, \(...\) or \[...\]; `end` is behind it.
std::string last_math(std::string_view text, size_t& end);

/// The last number of a text with sign, fraction and percent: "-3/4", "1,234.5", "28%". Not part of a word.
std::string last_number(std::string_view text, size_t& at);

/// Without quotes, Markdown, labels ("Answer:", "x is"), trailing full stops and what shows the end of a proof.
std::string clean_answer(std::string_view text);

}  // namespace grpo::reward
