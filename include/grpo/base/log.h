#pragma once

#include <filesystem>
#include <string>

namespace grpo::base {

/// One line on stderr with time and level. Thread-safe. Results go to stdout and files, never through here.
void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

/// Appends every line to `file` from now on; stderr gets errors only.
void log_to_file(const std::filesystem::path& file);

/// Hides everything below warnings.
void set_quiet(bool quiet);

}  // namespace grpo::base
