#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"

namespace grpo::data {

inline constexpr size_t kOverlapWords = 13;  // in a row, as Brown et al. (2020), appendix C, count contamination
inline constexpr size_t kCommonPhrase = 10;  // problems of one set; what more of them say is no sign of a copy

/// A problem of an evaluation set that shares words with one that is trained on.
struct SharedWords {
  size_t evaluated = 0;  // index into its list
  size_t trained = 0;    // of the first problem with the same words
  double share = 0.0;    // of the evaluated problem's runs of 13 words, those that some training problem has, in (0, 1]
  bool is_same = false;  // all words of the two are the same, in the same order
};

/// The words of a text: letters and digits in small letters, each Chinese, Japanese or Korean character a word of its
/// own; all else, LaTeX's backslashes and braces too, only separates them. Joined by single blanks.
std::string words_of(const std::string& text);

/// The evaluated problems that share at least one run of 13 words with a training problem, in their order. Runs that
/// stand in more than 10 problems of either set are its common phrases and do not count. A problem of fewer words is
/// found only where all of them are the same. Of conversations the last message of the user's is compared.
std::vector<SharedWords> find_overlap(const std::vector<Problem>& trained, const std::vector<Problem>& evaluated);

}  // namespace grpo::data
