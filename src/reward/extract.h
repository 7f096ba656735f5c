#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace grpo::reward {

/// An answer found in a response, and the rule that found it.
struct Extracted {
  std::string text;
  std::string rule;
};

/// Contents of the last complete \boxed{} or \fbox{}, braces balanced. A box that never closes is no answer.
std::optional<std::string> last_box(std::string_view text);

/// As last_box, but boxes joined only by commas, "and" or "or" are one list: "17, 18, 19". Guessing in several boxes is
/// then not rewarded for the last of them.
std::optional<std::string> last_boxes(std::string_view text);

/// The final answer of a response: the last complete box; else what follows the last "####"; else the last number. A
/// response with an unfinished box has no answer: it was cut off.
std::optional<Extracted> extract_answer(std::string_view text);

/// The last integer or decimal in the text, with its sign.
std::optional<std::string> last_number(std::string_view text);

}  // namespace grpo::reward
