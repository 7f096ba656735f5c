#pragma once

#include <string>
#include <vector>

#include "grpo/base/fields.h"

namespace CLI {
class App;
}

namespace grpo::app {

/// Gives a command a flag for each field, or for the fields called `names`. --max-new-tokens sets the field
/// `max_new_tokens`, and a boolean is set by its bare flag. Meaning, bounds and default are the field's. The struct
/// behind the fields must outlive the command. A wrong value throws base::ConfigError, which says what was expected.
void add_flags(CLI::App& command, const base::Fields& fields);
void add_flags(CLI::App& command, base::Fields fields, const std::vector<std::string>& names);

}  // namespace grpo::app
