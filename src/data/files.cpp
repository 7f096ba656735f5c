#include "grpo/data/files.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <set>

#include "data/rows.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/file_kind.h"

namespace grpo::data {
namespace fs = std::filesystem;
namespace {

// Files that data set libraries put beside the data to describe it.
constexpr std::array<const char*, 4> kDescriptions = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json",
                                                      "state.json"};
constexpr std::array<const char*, 6> kSplits = {"train", "test", "validation", "valid", "val", "dev"};

bool is_problem_file(const fs::path& file) {
  const std::string name = file.filename().string();
  const bool described = std::find(kDescriptions.begin(), kDescriptions.end(), name) != kDescriptions.end();
  return !described && name.front() != '.' && is_known_ending(file);
}

// The split that a file's name begins with: "train" for train-00000-of-00002.parquet; "" if it begins with none.
std::string split_of(const fs::path& file) {
  const std::string name = name_of_set(file);
  const std::string word = name.substr(0, name.find_first_of("-_."));
  return std::find(kSplits.begin(), kSplits.end(), word) == kSplits.end() ? "" : word;
}

std::string list_of(const std::set<std::string>& splits) {
  std::vector<std::string> names;
  for (const auto& split : splits) names.push_back(split.empty() ? "files of none" : split);
  return base::join(names, ", ");
}

// What a folder without problem files holds instead, as the end of the error message.
std::string what_else(const fs::path& folder) {
  if (fs::is_directory(folder / "data")) return "; its subfolder data may";
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".arrow")
      return "; it holds Arrow files, as save_to_disk of datasets writes: export them with to_parquet or to_json";
  }
  return "";
}

std::vector<std::string> files_of_folder(const fs::path& folder) {
  std::vector<std::string> files;
  std::set<std::string> splits;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_regular_file() || !is_problem_file(entry.path())) continue;
    files.push_back(entry.path().string());
    splits.insert(split_of(entry.path()));
  }
  if (files.empty())
    throw base::ConfigError(folder.string() + ": this folder holds no problem file itself (" + known_endings() + ")" +
                            what_else(folder));
  if (splits.size() > 1) {
    throw base::ConfigError(folder.string() + ": this folder holds several splits (" + list_of(splits) +
                            "); say which is meant, as " + (folder / "train*").string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// glob sorts the matches of each alternative of {a,b} by itself, and gives a file for each alternative that it matches.
std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  std::set<std::string> files;
  if (::glob(pattern.c_str(), GLOB_BRACE, nullptr, &found) == 0)
    files.insert(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return {files.begin(), files.end()};
}

}  // namespace

bool is_pattern(const std::string& entry) {
  std::error_code unreadable;
  return entry.find_first_of("*?[{") != std::string::npos && !fs::exists(entry, unreadable);
}

std::vector<std::string> expand_files(const std::string& entry) {
  if (is_pattern(entry)) return matches_of(entry);
  return fs::is_directory(entry) ? files_of_folder(entry) : std::vector<std::string>{entry};
}

std::string name_of_set(const fs::path& file) { return io::without_compression(file).stem().string(); }

}  // namespace grpo::data
