#pragma once

#include <string>

namespace grpo::base {

/// One line on stderr with time and level. Thread-safe. Results go to stdout and files, never through here.
void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

/// Hides everything below warnings.
void set_quiet(bool quiet);

}  // namespace grpo::base
