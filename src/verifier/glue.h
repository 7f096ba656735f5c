#pragma once

#include <string>
#include <string_view>

namespace grpo::verifier {

/// What a box in prose, without dollar signs round it, is a part of: the "3 + " of "3 + \boxed{5}", the ":6" of
/// "\boxed{5}:6". Both are empty where the box stands alone.
struct Glue {
  std::string left;
  std::string right;
};

/// `before` and `behind` are the text up to the box and behind it. Marks of lists and quotes ("1. ", "- ", "> ") and a
/// dash between words and the box are no part of a formula.
Glue glue_round(std::string_view before, std::string_view behind);

}  // namespace grpo::verifier
