#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"

namespace grpo::data {

/// What makes two problems the same: the problem's text, or all turns of its conversation, with white space as single
/// blanks. Answers do not count; of a preference its completions do, as one prompt may have several.
std::string compared_text(const Problem& problem);

/// A problem with the text of an earlier one.
struct Repeated {
  size_t problem = 0;         // index into the list
  size_t first = 0;           // of the earliest with that text
  bool other_answer = false;  // one of the two must be wrong, or they are several ways to answer
};

/// In the order of the list.
std::vector<Repeated> find_duplicates(const std::vector<Problem>& problems);

}  // namespace grpo::data
