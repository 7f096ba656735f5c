#pragma once

#include <cstdint>
#include <span>

namespace grpo::tokenizer {

// The reference tokenizer libraries and the system's Unicode libraries were built from different Unicode versions.
// These tables hold the differences, so that ids agree whatever versions PCRE2 and utf8proc have.

struct CodePointRange {
  char32_t first, last;
};
struct CategoryRange {
  char32_t first, last;
  const char* category;  // two letters, as in UnicodeData.txt
};
struct CaseRange {
  char32_t first, last;
  int32_t lower_offset;
};

/// General categories of the code points that Unicode 15 and 16 added (regular expressions use Unicode 16).
std::span<const CategoryRange> categories_assigned_after_14();

/// Code points that Unicode 10 to 16 added, with gaps closed where nothing was assigned before. Normalisation follows
/// Unicode 9: these neither decompose, compose nor reorder.
std::span<const CodePointRange> assigned_after_9();

/// The property White_Space.
std::span<const CodePointRange> white_space();

/// Lower-case mappings that Unicode 16 and 17 added.
std::span<const CaseRange> lower_case_after_15();

}  // namespace grpo::tokenizer
