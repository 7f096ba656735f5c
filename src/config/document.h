#pragma once

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <string>

// Parses YAML text into yaml-cpp nodes, with errors that say where.

namespace grpo::config {

/// Where a value was written: on a line of a file, or on the command line, which has no lines.
struct Place {
  std::string source;  // "configs/a.yaml" or "command line"
  int line = 0;        // from 1; 0 where there are no lines
  std::string text() const;
};

/// Throws base::ConfigError("PLACE: KEY: WHAT"), without "KEY: " if the key is empty.
[[noreturn]] void fail(const Place& place, const std::string& key, const std::string& what);

/// Parses a file with one document; an empty file gives a null node. Throws base::ConfigError.
YAML::Node parse_file(const std::filesystem::path& file);

/// Parses the value of an override of `key`. Throws base::ConfigError.
YAML::Node parse_override_value(const std::string& key, const std::string& text);

inline const std::string kCommandLine = "command line";

}  // namespace grpo::config
