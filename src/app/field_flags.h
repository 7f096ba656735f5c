#pragma once

#include <string>
#include <vector>

#include "grpo/base/fields.h"

namespace CLI {
class App;
}

namespace grpo::app {

/// Gives a command a flag for each field, or for those called `names`: `max_new_tokens` is set by --max-new-tokens and
/// a boolean by its bare flag, with the meaning, the bounds and the default that the field has. The struct behind the
/// fields outlives the command. A wrong value ends in a base::ConfigError that says what was expected.
void add_flags(CLI::App& command, const base::Fields& fields);
void add_flags(CLI::App& command, base::Fields fields, const std::vector<std::string>& names);

}  // namespace grpo::app
