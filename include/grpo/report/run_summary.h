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

/// What metrics.jsonl and config.yaml of one run folder say.
struct RunSummary {
  std::string name;                     // the folder's name
  std::filesystem::path folder;
  int64_t steps = 0;
  double rollouts = 0.0;
  double completion_tokens = 0.0;
  double train_s = 0.0;                 // sum of time/train: rollout, reward, update
  double wall_s = 0.0;                  // sum of time/step, evaluations and checkpoints included
  double live_share = 0.0;              // live groups / groups
  double peak_memory_bytes = 0.0;
  std::map<std::string, Curve> curves;  // every metric by name

  /// First and last value of a curve; NaN when there is none.
  double first(const std::string& metric) const;
  double last(const std::string& metric) const;
  double best(const std::string& metric) const;
  /// Names that contain "/mean@": the accuracy of each evaluation set.
  std::vector<std::string> mean_at_k() const;
};

/// Throws base::IoError when the folder has no metrics.jsonl or it holds no step.
RunSummary read_run(const std::filesystem::path& folder);

}  // namespace grpo::report
