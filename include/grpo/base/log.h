#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace grpo::base {

/// One line on stderr with time and level. Thread-safe. Results go to stdout and files, never through here.
void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

/// Appends every line to `file` from now on; stderr gets errors only.
void log_to_file(const std::filesystem::path& file);

/// Calls `write` with each message and its level ("info", "warning", "error") instead of writing to stderr; an empty
/// function ends that. Files of log_to_file get every line all the same.
void log_through(std::function<void(const std::string& level, const std::string& message)> write);

/// Hides everything below warnings.
void set_quiet(bool quiet);

}  // namespace grpo::base
