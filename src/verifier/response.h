#pragma once

#include <string>
#include <string_view>

namespace grpo::verifier {

/// The part of a response in which its final answer may stand.
struct Visible {
  std::string text;                 // code blocks are overwritten with spaces, so that positions do not move
  bool unfinished_thought = false;  // a <think> that never closes: there is no answer yet
};

/// The text behind the last </think> of the first assistant turn. The response may carry the chat tokens that delimit
/// turns. Takes time linear in its length.
Visible visible_part(std::string_view response);

}  // namespace grpo::verifier
