#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace grpo::report {

/// A named value over the steps of a run: (step, value) in step order.
using Curve = std::vector<std::pair<int64_t, double>>;

/// How far a run was when it wrote a line of metrics.jsonl; sums since its start.
struct Position {
  int64_t step = 0;
  double rollouts = 0.0;
  double train_s = 0.0;
  double wall_s = 0.0;
};

/// What metrics.jsonl and config.yaml of one run folder say.
struct RunSummary {
  std::string name;  // the folder's name
  std::filesystem::path folder;
  int64_t steps = 0;
  double updates = 0.0;  // of steps with a live group
  double rollouts = 0.0;
  double completion_tokens = 0.0;
  double train_s = 0.0;     // sum of time/train: rollout, reward, update
  double wall_s = 0.0;      // sum of time/step, evaluations and checkpoints included
  double live_share = 0.0;  // live groups / groups; NaN before the first step
  double peak_memory_bytes = 0.0;
  std::vector<Position> positions;            // one a line, in step order
  std::map<std::string, Curve> curves;        // every metric by name
  std::map<std::string, std::string> config;  // config.yaml, keys joined by dots; empty without the file

  /// First and last value of a curve; NaN when there is none.
  double first(const std::string& metric) const;
  double last(const std::string& metric) const;
  double best(const std::string& metric) const;
  /// Sum of a curve; 0 when there is none.
  double sum(const std::string& metric) const;
  /// Mean over the last tenth of a curve's points, at least one; NaN when there is none.
  double late_mean(const std::string& metric) const;
  /// A key of config.yaml, or "" when it is not there.
  std::string config_value(const std::string& key) const;
  /// Names that contain "/mean@": the accuracy of each evaluation set.
  std::vector<std::string> mean_at_k() const;
};

/// A run that has not finished a step is all zeros. Throws base::IoError when the folder has no metrics.jsonl.
RunSummary read_run(const std::filesystem::path& folder);

/// eval/<set>/mean@k -> <set>
std::string set_of(const std::string& metric);

/// Share of right samples of each problem at the last value of `metric` (an eval/<set>/mean@k), by the problem's id;
/// empty when the run has no such file.
std::map<std::string, double> last_eval_by_problem(const RunSummary& run, const std::string& metric);

}  // namespace grpo::report
