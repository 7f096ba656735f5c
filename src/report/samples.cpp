#include "report/samples.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "report/lines.h"

namespace grpo::report {
namespace fs = std::filesystem;
namespace {

using StepFile = std::pair<int64_t, fs::path>;  // the rollouts of a step

// The step of a file that a run has written, step_<8 digits>.jsonl. Other files that lie beside them have none.
std::optional<int64_t> step_of(const std::string& name) {
  constexpr std::string_view kBefore = "step_", kBehind = ".jsonl";
  constexpr size_t kDigits = 8;
  if (name.size() != kBefore.size() + kDigits + kBehind.size() || !name.starts_with(kBefore) ||
      !name.ends_with(kBehind))
    return std::nullopt;
  const std::string digits = name.substr(kBefore.size(), kDigits);
  return digits.find_first_not_of("0123456789") == std::string::npos ? std::optional(std::stoll(digits)) : std::nullopt;
}

std::vector<StepFile> rollout_files(const fs::path& folder) {
  std::vector<StepFile> files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && entry.is_regular_file()) files.emplace_back(*step, entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The first, the last, and others between them at equal distances. REQUIRES: count >= 2.
std::vector<StepFile> spread(const std::vector<StepFile>& files, size_t count) {
  if (files.size() <= count) return files;
  std::vector<StepFile> chosen;
  for (size_t i = 0; i < count; ++i) chosen.push_back(files[i * (files.size() - 1) / (count - 1)]);
  return chosen;
}

// Cuts a text after at most `bytes` bytes, never inside a UTF-8 character.
std::string cut(const std::string& text, size_t bytes) {
  if (text.size() <= bytes) return text;
  size_t end = bytes;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end) + " … (" + std::to_string(text.size() - end) + " bytes more)";
}

nlohmann::json completion_of(const nlohmann::json& line, const SampleLimits& limits) {
  nlohmann::json out = {{"text", cut(line.at("text").get<std::string>(), limits.bytes)},
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
                        {"prompt", cut(line.at("prompt").get<std::string>(), limits.bytes)},
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
  for (const auto& [step, file] : spread(rollout_files(run.folder / "rollouts"), limits.steps))
    steps.push_back({{"step", step}, {"groups", groups_of(file, limits)}});
  return steps;
}

}  // namespace grpo::report
