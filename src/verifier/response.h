#pragma once

#include <string>
#include <string_view>

namespace grpo::verifier {

/// The part of a response in which its final answer may stand.
struct Visible {
  std::string text;                 // code blocks are blanked out; byte positions are those of the part taken
  bool unfinished_thought = false;  // a <think> that never closes: there is no answer yet
};

/// The first assistant turn of a response that may carry chat tokens, behind its last </think>. Work is linear.
Visible visible_part(std::string_view response);

}  // namespace grpo::verifier
