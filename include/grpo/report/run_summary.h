#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace grpo::report {

/// In place of a figure that a run does not have.
inline constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

/// A named value over the steps of a run: (step, value) in step order.
using Curve = std::vector<std::pair<int64_t, double>>;

/// How far a run had come when it wrote a line of metrics.jsonl. The numbers are sums since the start of the run.
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
  double updates = 0.0;  // optimizer updates, counting only steps with a live group
  double rollouts = 0.0;
  double completion_tokens = 0.0;
  double train_s = 0.0;     // sum of time/train: rollout, reward, update
  double wall_s = 0.0;      // sum of time/step, which includes evaluations and checkpoints
  double live_share = 0.0;  // live groups / all groups; NaN before the first step
  double peak_memory_bytes = 0.0;
  std::vector<Position> positions;            // one per line of metrics.jsonl, in step order
  std::map<std::string, Curve> curves;        // every metric by name
  std::map<std::string, std::string> config;  // config.yaml with dotted keys; empty if there is no such file

  /// First, last and largest value of a metric; NaN when the run does not have it.
  double first(const std::string& metric) const;
  double last(const std::string& metric) const;
  double best(const std::string& metric) const;
  /// Sum of a metric over all steps; 0 when the run does not have it.
  double sum(const std::string& metric) const;
  /// Mean of a metric over the last tenth of its values, at least one; NaN when the run does not have it.
  double late_mean(const std::string& metric) const;
  /// A key of config.yaml, or "" when it is not there.
  std::string config_value(const std::string& key) const;
  /// The accuracy metrics of the evaluation sets: all names that contain "/mean@".
  std::vector<std::string> mean_at_k() const;
};

/// Reads a run's folder. A run that has not finished a step is all zeros. Throws base::IoError when
/// the folder has no metrics.jsonl.
RunSummary read_run(const std::filesystem::path& folder);

/// The evaluation set's name in eval/<set>/mean@k.
std::string set_of(const std::string& metric);

/// For each problem the share of right samples in the run's last evaluation by `metric` (an eval/<set>/mean@k). Empty
/// when the run has no file of that evaluation. A problem is told from others by its id, which is a label that several
/// may have, its gold answer, which sets of the same name and numbering do not share, and its place among those that
/// have both in common. Its text is not looked at, since that depends on the template.
std::map<std::string, double> last_eval_by_problem(const RunSummary& run, const std::string& metric);

}  // namespace grpo::report
