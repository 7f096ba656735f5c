#include "report/samples.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/lines.h"

namespace grpo::report {
namespace fs = std::filesystem;
namespace {

std::vector<fs::path> rollout_files(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The first, the last, and others between them at equal distances. REQUIRES: count >= 2.
std::vector<fs::path> spread(const std::vector<fs::path>& files, size_t count) {
  if (files.size() <= count) return files;
  std::vector<fs::path> chosen;
  for (size_t i = 0; i < count; ++i) chosen.push_back(files[i * (files.size() - 1) / (count - 1)]);
  return chosen;
}

// Cuts a text after at most `characters` bytes, never inside a UTF-8 character.
std::string cut(const std::string& text, size_t characters) {
  if (text.size() <= characters) return text;
  size_t end = characters;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end) + " … (" + std::to_string(text.size() - end) + " bytes more)";
}

nlohmann::json completion_of(const nlohmann::json& line, const SampleLimits& limits) {
  nlohmann::json out = {{"text", cut(line.at("text").get<std::string>(), limits.characters)},
                        {"tokens", line.at("ids").size()}};
  for (const char* key : {"sample", "answer", "verdict", "reward", "advantage", "finish_reason"})
    out[key] = line.at(key);
  return out;
}

// Keeps `count` completions: the first right one, the first wrong one and, beside these two, the first in sample order.
void keep_some(nlohmann::json& completions, size_t count) {
  if (completions.size() <= count) return;
  std::vector<nlohmann::json> all = completions;
  const auto is_right = [](const nlohmann::json& completion) { return completion.at("verdict") == "right"; };
  const auto right = std::find_if(all.begin(), all.end(), is_right);
  const auto wrong = std::find_if_not(all.begin(), all.end(), is_right);
  const auto other = std::max(right, wrong);  // the first completion is one of the two and is kept anyway
  if (other != all.end() && static_cast<size_t>(other - all.begin()) >= count)
    std::iter_swap(other, all.begin() + static_cast<long>(count) - 1);
  all.resize(count);
  completions = all;
}

nlohmann::json groups_of(const fs::path& file, const SampleLimits& limits) {
  auto groups = nlohmann::json::array();
  int64_t last_sample = -1;
  for_each_line(file, [&](const nlohmann::json& line) {
    const auto sample = line.at("sample").get<int64_t>();
    // Two groups of the same prompt can follow each other. Sample numbers count up within a group, so
    // a smaller one begins the next.
    if (groups.empty() || sample <= last_sample || groups.back().at("prompt_id") != line.at("prompt_id")) {
      if (groups.size() == limits.groups) return false;
      groups.push_back({{"prompt_id", line.at("prompt_id")},
                        {"prompt", cut(line.at("prompt").get<std::string>(), limits.characters)},
                        {"gold", line.at("gold")},
                        {"completions", nlohmann::json::array()}});
    }
    last_sample = sample;
    groups.back()["completions"].push_back(completion_of(line, limits));
    return true;
  });
  for (auto& group : groups) {
    group["size"] = group.at("completions").size();
    keep_some(group["completions"], limits.completions);
  }
  return groups;
}

}  // namespace

nlohmann::json rollout_samples(const RunSummary& run, const SampleLimits& limits) {
  auto steps = nlohmann::json::array();
  for (const auto& file : spread(rollout_files(run.folder / "rollouts"), limits.steps)) {
    const std::string name = file.stem().string();  // step_00000001
    steps.push_back({{"step", std::stoll(name.substr(name.find('_') + 1))}, {"groups", groups_of(file, limits)}});
  }
  return steps;
}

}  // namespace grpo::report
