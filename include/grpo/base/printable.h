#pragma once

#include <string>
#include <string_view>

namespace grpo::base {

/// Makes `text` safe for a terminal or a log: control characters other than tab and newline become \xNN, so that a file
/// name, a model's output or a library's message cannot steer the terminal.
std::string printable(std::string_view text);

}  // namespace grpo::base
