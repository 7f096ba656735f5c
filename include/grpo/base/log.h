#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace grpo::base {

/// Writes one line with time and level to stderr. Thread-safe. Results of a command never go through here:
/// they go to stdout and to files.
void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

/// From now on appends every line to `file`; stderr gets errors only.
void log_to_file(const std::filesystem::path& file);

/// From now on calls `write` with each message and its level ("info", "warning", "error") instead of writing to stderr.
/// An empty function switches back to stderr. A file of log_to_file gets every line in both cases.
void log_through(std::function<void(const std::string& level, const std::string& message)> write);

/// Hides everything below warnings.
void set_quiet(bool quiet);

}  // namespace grpo::base
