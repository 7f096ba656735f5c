#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"

namespace grpo::data {

inline constexpr size_t kOverlapWords = 13;  // the length of a run, as in Brown et al. (2020), appendix C
inline constexpr size_t kCommonPhrase = 10;  // a run in more problems of one set is a phrase, no sign of a copy

/// A problem of an evaluation set that shares words with a problem that is trained on.
struct SharedWords {
  size_t evaluated = 0;  // index into the list of evaluated problems
  // Index of the training problem with the same words, or with the most shared runs. A run counts for the first
  // training problem that contains it.
  size_t trained = 0;
  double share = 0.0;    // part of the evaluated problem's runs of 13 words that training problems have, in (0, 1]
  bool is_same = false;  // both consist of the same words in the same order
};

/// The words of a text, joined by single blanks. A word is a run of letters and digits, in lower case; each
/// Chinese, Japanese or Korean character is a word of its own. All other characters, such as LaTeX's backslashes
/// and braces, only separate words.
std::string words_of(const std::string& text);

/// The evaluated problems that share at least one run of 13 words with a training problem, in their order. Runs that
/// occur in more than 10 problems of either set are phrases and do not count. A problem of fewer than 13 words is found
/// only if it consists of the same words as a training problem. Of conversations the last user message is compared.
std::vector<SharedWords> find_overlap(const std::vector<Problem>& trained, const std::vector<Problem>& evaluated);

}  // namespace grpo::data
