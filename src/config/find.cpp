#include <algorithm>
#include <cstdlib>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/config/config.h"

namespace grpo::config {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = "configs";

// Where an installed program has its configurations: share/grpo-train/configs beside its folder bin.
fs::path installed_folder() {
  std::error_code unreadable;
  return fs::read_symlink("/proc/self/exe", unreadable).parent_path().parent_path() / "share" / "grpo-train" / kFolder;
}

// The end of a message: " (did you mean configs/a.yaml?)" or "".
std::string nearest_config(const std::string& name) {
  std::vector<std::string> names;
  std::error_code no_folder;
  for (const auto& entry : fs::directory_iterator(kFolder, no_folder)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  const fs::path asked(name);
  const std::string stem = asked.extension() == ".yaml" ? asked.stem().string() : asked.filename().string();
  const std::string nearest = base::nearest_name(stem, names);
  return nearest.empty() ? "" : " (did you mean " + (kFolder / (nearest + ".yaml")).string() + "?)";
}

// Expands "~/data" to the home folder. In data.train=~/data the shell does not, since "~" does not begin the word.
fs::path at_home(const std::string& text) {
  const char* home = std::getenv("HOME");
  return text.starts_with("~/") && home != nullptr ? fs::path(home) / text.substr(2) : fs::path(text);
}

}  // namespace

fs::path find_config(const std::string& name) {
  if (name.empty()) throw base::ConfigError("the name of the configuration file is empty");
  std::vector<fs::path> paths = {name, name + ".yaml", kFolder / name, kFolder / (name + ".yaml")};
  std::error_code unreadable;
  if (const auto folder = installed_folder(); fs::is_directory(folder, unreadable)) {
    paths.push_back(folder / name);
    paths.push_back(folder / (name + ".yaml"));
  }
  std::vector<std::string> tried;
  for (const auto& path : paths) {
    if (fs::is_regular_file(path, unreadable)) return path;
    if (std::find(tried.begin(), tried.end(), path.string()) == tried.end()) tried.push_back(path.string());
  }
  throw base::ConfigError(name + ": no such configuration; looked for " + base::join(tried, ", ") + " in " +
                          fs::current_path().string() + nearest_config(name));
}

fs::path resolve_path(const std::string& text, const fs::path& config_folder) {
  const fs::path path = at_home(text);
  std::error_code unreadable;
  if (path.is_absolute() || text.empty() || fs::exists(path, unreadable)) return path;
  const fs::path beside = config_folder / path;
  return fs::exists(beside, unreadable) ? beside : path;
}

}  // namespace grpo::config
