#include "grpo/report/run_summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "grpo/base/error.h"
#include "report/config_file.h"
#include "report/lines.h"

namespace grpo::report {
namespace fs = std::filesystem;
namespace {

double number_in(const nlohmann::json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : 0.0;
}

// The line of step 0 has no time/step, since the run only evaluated there: its time is time/eval.
Position after(const Position& before, const nlohmann::json& line, int64_t step) {
  return {.step = step,
          .rollouts = before.rollouts + number_in(line, "rollouts"),
          .train_s = before.train_s + number_in(line, "time/train"),
          .wall_s = before.wall_s +
                    (line.contains("time/step") ? number_in(line, "time/step") : number_in(line, "time/eval"))};
}

void add_line(RunSummary& run, const nlohmann::json& line) {
  const auto step = line.at("step").get<int64_t>();
  run.steps = std::max(run.steps, step);
  run.positions.push_back(after(run.positions.empty() ? Position{} : run.positions.back(), line, step));
  for (const auto& [name, value] : line.items()) {
    if (name != "step" && value.is_number()) run.curves[name].emplace_back(step, value.get<double>());
  }
  if (const double groups = number_in(line, "groups/total"); groups > 0.0) {
    run.curves["groups/dead_share"].emplace_back(step, 1.0 - number_in(line, "groups/live") / groups);
  }
}

double number_or_one(const std::string& text) { return text.empty() ? 1.0 : std::atof(text.c_str()); }

// Of sampled groups those steps made updates that had a live one; of written texts every step did.
double count_updates(const RunSummary& run) {
  const auto live = run.curves.find("groups/live");
  const bool sampled = live != run.curves.end();
  const auto made = sampled ? live : run.curves.find("loss");
  if (made == run.curves.end()) return 0.0;
  const auto steps = std::count_if(made->second.begin(), made->second.end(),
                                   [&](const auto& point) { return !sampled || point.second > 0.0; });
  return static_cast<double>(steps) * number_or_one(run.config_value("trainer.updates_per_step")) *
         number_or_one(run.config_value("trainer.epochs_per_step"));
}

void add_sums(RunSummary& run) {
  run.rollouts = run.sum("rollouts");
  run.completion_tokens = run.sum("tokens/completion");
  run.train_s = run.sum("time/train");
  run.wall_s = run.positions.empty() ? 0.0 : run.positions.back().wall_s;
  run.updates = count_updates(run);
  const double groups = run.sum("groups/total");
  run.live_share = groups > 0.0 ? run.sum("groups/live") / groups : kNoValue;
  run.peak_memory_bytes = run.best("memory/peak_bytes");
}

}  // namespace

double RunSummary::first(const std::string& metric) const {
  const auto found = curves.find(metric);
  return found == curves.end() ? kNoValue : found->second.front().second;
}

double RunSummary::last(const std::string& metric) const {
  const auto found = curves.find(metric);
  return found == curves.end() ? kNoValue : found->second.back().second;
}

double RunSummary::best(const std::string& metric) const {
  const auto found = curves.find(metric);
  if (found == curves.end()) return kNoValue;
  double best = -std::numeric_limits<double>::infinity();
  for (const auto& [step, value] : found->second) best = std::max(best, value);
  return best;
}

double RunSummary::sum(const std::string& metric) const {
  const auto found = curves.find(metric);
  if (found == curves.end()) return 0.0;
  double sum = 0.0;
  for (const auto& [step, value] : found->second) sum += value;
  return sum;
}

double RunSummary::late_mean(const std::string& metric) const {
  const auto found = curves.find(metric);
  if (found == curves.end()) return kNoValue;
  const Curve& curve = found->second;
  const size_t count = std::max<size_t>(1, curve.size() / 10);
  double sum = 0.0;
  for (size_t i = curve.size() - count; i < curve.size(); ++i) sum += curve[i].second;
  return sum / static_cast<double>(count);
}

std::string RunSummary::config_value(const std::string& key) const {
  const auto found = config.find(key);
  return found == config.end() ? "" : found->second;
}

std::vector<std::string> RunSummary::mean_at_k() const {
  std::vector<std::string> names;
  for (const auto& [name, curve] : curves) {
    if (name.find("/mean@") != std::string::npos) names.push_back(name);
  }
  return names;
}

RunSummary read_run(const fs::path& folder) {
  const auto path = folder / "metrics.jsonl";
  if (!fs::exists(path)) {
    throw base::IoError(folder.string() + ": no metrics.jsonl; expected a run folder such as runs/quickstart_2grpo");
  }
  RunSummary run;
  run.folder = folder;
  // "runs/a/" ends in a slash and "." is no name, so the run takes its name from the canonical path.
  const auto whole = fs::weakly_canonical(folder);
  run.name = (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  if (fs::exists(folder / "config.yaml")) run.config = read_config(folder / "config.yaml");
  for_each_line(path, [&](const nlohmann::json& line) {
    add_line(run, line);
    return true;
  });
  add_sums(run);
  return run;
}

std::string set_of(const std::string& metric) {
  const size_t first = metric.find('/') + 1;
  return metric.substr(first, metric.rfind('/') - first);
}

std::map<std::string, double> last_eval_by_problem(const RunSummary& run, const std::string& metric) {
  std::map<std::string, double> shares;
  const auto curve = run.curves.find(metric);
  if (curve == run.curves.end()) return shares;
  char step[32];
  std::snprintf(step, sizeof step, "step_%08lld_", static_cast<long long>(curve->second.back().first));
  const auto path = run.folder / "eval" / (step + set_of(metric) + ".jsonl");
  if (!fs::exists(path)) return shares;
  std::map<std::string, int64_t> seen;
  for_each_line(path, [&](const nlohmann::json& line) {
    const auto samples = static_cast<double>(line.at("samples").size());
    const std::string problem = line.at("id").get<std::string>() + " " + line.value("gold", nlohmann::json()).dump();
    const auto number = ++seen[problem];
    if (samples > 0.0) shares[problem + " " + std::to_string(number)] = number_in(line, "right") / samples;
    return true;
  });
  return shares;
}

}  // namespace grpo::report
