#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/regex.h"

namespace grpo::tokenizer {

/// What becomes of the text a pattern matches.
enum class SplitBehavior {
  kRemoved,             // dropped
  kIsolated,            // each match is a piece
  kMergedWithPrevious,  // joins the text before it
  kMergedWithNext,      // joins the text after it
  kContiguous,          // matches in a row are one piece
};

/// Throws base::IoError on an unknown name ("Isolated", ...).
SplitBehavior split_behavior(const std::string& name);

/// Splits every piece at the matches of a pattern; `invert` exchanges matches and the text between them.
class Split : public PreTokenizer {
 public:
  Split(Regex pattern, SplitBehavior behavior, bool invert = false)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(Pieces& pieces) const override;

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace grpo::tokenizer
