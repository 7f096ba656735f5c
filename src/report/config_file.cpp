#include "report/config_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "grpo/base/error.h"

namespace grpo::report {
namespace {

std::string text_of(const YAML::Node& node) {
  YAML::Emitter out;
  out.SetSeqFormat(YAML::Flow);
  out.SetMapFormat(YAML::Flow);
  out << node;
  return out.c_str();
}

void flatten(const YAML::Node& node, const std::string& prefix, std::map<std::string, std::string>& out) {
  for (const auto& entry : node) {
    const std::string key = prefix + entry.first.as<std::string>();
    if (entry.second.IsMap())
      flatten(entry.second, key + ".", out);
    else
      out[key] = text_of(entry.second);
  }
}

std::string value_in(const RunSummary& run, const std::string& key) {
  const auto found = run.config.find(key);
  return found == run.config.end() ? "–" : found->second;
}

}  // namespace

std::map<std::string, std::string> read_config(const std::filesystem::path& path) {
  std::map<std::string, std::string> out;
  try {
    flatten(YAML::LoadFile(path.string()), "", out);
  } catch (const YAML::Exception& error) {
    throw base::IoError(path.string() + ": not the config.yaml of a run: " + error.what());
  }
  return out;
}

std::vector<ConfigDifference> config_differences(const std::vector<RunSummary>& runs) {
  std::set<std::string> keys;
  for (const auto& run : runs) {
    for (const auto& [key, value] : run.config) keys.insert(key);
  }
  keys.erase("run.name");  // the run's name is the head of its column
  std::vector<ConfigDifference> differences;
  for (const auto& key : keys) {
    ConfigDifference difference{.key = key, .values = {}};
    for (const auto& run : runs) difference.values.push_back(run.config.empty() ? "–" : value_in(run, key));
    const auto& values = difference.values;
    if (std::any_of(values.begin(), values.end(), [&](const auto& value) { return value != values.front(); })) {
      differences.push_back(difference);
    }
  }
  return differences;
}

}  // namespace grpo::report
