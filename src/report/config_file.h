#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// Reads a YAML file into a map from dotted keys to the text of their values. A list is one value: {a: {b:
/// [1, 2]}} gives "a.b" -> "[1, 2]".
std::map<std::string, std::string> read_config(const std::filesystem::path& path);

/// A key whose value differs between runs. There is one value per run, "–" for a run without
/// the key or without config.yaml.
struct ConfigDifference {
  std::string key;
  std::vector<std::string> values;
};
std::vector<ConfigDifference> config_differences(const std::vector<RunSummary>& runs);

}  // namespace grpo::report
