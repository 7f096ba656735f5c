#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>

namespace grpo::trainer {

/// Each prompt's running accuracy with a Beta(1, 1) prior and exponential forgetting, and from it the expected number
/// of dead groups: p^G + (1 - p)^G (algorithms: "Dead groups").
class AccuracyTracker {
 public:
  /// The chance that all `group_size` completions of this prompt will be right, or all wrong. Unseen: p = 1/2.
  double dead_probability(int64_t row, int64_t group_size) const;
  void record(int64_t row, int64_t right, int64_t total);

  nlohmann::json to_json() const;
  static AccuracyTracker from_json(const nlohmann::json& json);

 private:
  struct Counts {
    double right = 0.0;
    double wrong = 0.0;
  };
  std::map<int64_t, Counts> counts_;
};

}  // namespace grpo::trainer
