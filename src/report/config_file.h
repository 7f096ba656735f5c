#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// A YAML file as dotted keys and the text of their values; the elements of a list are one value.
std::map<std::string, std::string> read_config(const std::filesystem::path& path);

/// A key whose value is not the same in all runs that have a config.yaml; one value a run, "–" where it has none.
struct ConfigDifference {
  std::string key;
  std::vector<std::string> values;
};
std::vector<ConfigDifference> config_differences(const std::vector<RunSummary>& runs);

}  // namespace grpo::report
