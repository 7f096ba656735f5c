#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"

namespace grpo::data {

/// The text by which two problems are the same: the prompt, or all turns of the conversation, with each run of
/// white space as one blank. Answers are not part of it, but the completions of a preference are, since one
/// prompt may have several preferences.
std::string compared_text(const Problem& problem);

/// A problem with the text of an earlier one.
struct Repeated {
  size_t problem = 0;         // index into the list
  size_t first = 0;           // index of the first problem with this text
  bool other_answer = false;  // the answers differ: one is wrong, or both are ways to write the right one
};

/// All repeated problems, in the order of the list.
std::vector<Repeated> find_duplicates(const std::vector<Problem>& problems);

}  // namespace grpo::data
