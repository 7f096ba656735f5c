#pragma once

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <string>

// YAML text -> yaml-cpp nodes, with errors that say where.

namespace grpo::config {

/// Where a value was written: a line of a file, or the command line (which has none).
struct Place {
  std::string source;  // "configs/a.yaml" or "command line"
  int line = 0;        // from 1; 0: no lines
  std::string text() const;
};

/// Throws base::ConfigError "PLACE: KEY: WHAT", without KEY where it is empty.
[[noreturn]] void fail(const Place& place, const std::string& key, const std::string& what);

/// The one document of a file; null for an empty one. Throws base::ConfigError.
YAML::Node parse_file(const std::filesystem::path& file);

/// The value of the override of `key`. Throws base::ConfigError.
YAML::Node parse_override_value(const std::string& key, const std::string& text);

inline const std::string kCommandLine = "command line";

}  // namespace grpo::config
