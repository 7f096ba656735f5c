#include "grpo/report/run_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"

namespace grpo::report {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double sum_of(const RunSummary& run, const std::string& metric) {
  double sum = 0.0;
  const auto found = run.curves.find(metric);
  if (found == run.curves.end()) return 0.0;
  for (const auto& [step, value] : found->second) sum += value;
  return sum;
}

}  // namespace

double RunSummary::first(const std::string& metric) const {
  const auto found = curves.find(metric);
  return found == curves.end() ? kNone : found->second.front().second;
}

double RunSummary::last(const std::string& metric) const {
  const auto found = curves.find(metric);
  return found == curves.end() ? kNone : found->second.back().second;
}

double RunSummary::best(const std::string& metric) const {
  const auto found = curves.find(metric);
  if (found == curves.end()) return kNone;
  double best = -std::numeric_limits<double>::infinity();
  for (const auto& [step, value] : found->second) best = std::max(best, value);
  return best;
}

std::vector<std::string> RunSummary::mean_at_k() const {
  std::vector<std::string> names;
  for (const auto& [name, curve] : curves) {
    if (name.find("/mean@") != std::string::npos) names.push_back(name);
  }
  return names;
}

RunSummary read_run(const std::filesystem::path& folder) {
  const auto path = folder / "metrics.jsonl";
  if (!std::filesystem::exists(path)) {
    throw base::IoError(folder.string() + ": no metrics.jsonl; expected a run folder such as runs/quickstart_2grpo");
  }
  RunSummary run;
  run.folder = folder;
  run.name = std::filesystem::weakly_canonical(folder).filename().string();
  io::JsonlReader reader(path.string());
  nlohmann::json line;
  while (reader.next(line)) {
    const auto step = line.at("step").get<int64_t>();
    run.steps = std::max(run.steps, step);
    for (const auto& [name, value] : line.items()) {
      if (name != "step" && value.is_number()) run.curves[name].emplace_back(step, value.get<double>());
    }
  }
  if (run.curves.empty()) throw base::IoError(path.string() + ": holds no step yet");
  run.rollouts = sum_of(run, "rollouts");
  run.completion_tokens = sum_of(run, "tokens/completion");
  run.train_s = sum_of(run, "time/train");
  run.wall_s = run.last("time") - run.first("time");
  const double groups = sum_of(run, "groups/total");
  run.live_share = groups > 0.0 ? sum_of(run, "groups/live") / groups : 0.0;
  run.peak_memory_bytes = run.best("memory/peak_bytes");
  return run;
}

}  // namespace grpo::report
