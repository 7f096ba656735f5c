#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace grpo::trainer {

/// Keeps for each prompt the mean of its rewards, with exponential forgetting, as a baseline for groups of one. It
/// begins with what its first reward was compared with, which counts as two rewards: for rewards of 0 and 1 the value
/// is the mean of a Beta distribution, from whose counts each visit takes a share (SPO, arXiv 2509.13232).
class ValueTracker {
 public:
  /// The mean of this prompt's rewards; none before its first.
  std::optional<double> of(int64_t row) const;
  /// baseline: what the reward was compared with.
  void record(int64_t row, double reward, double baseline);

  nlohmann::json to_json() const;
  static ValueTracker from_json(const nlohmann::json& json);

 private:
  struct Value {
    double sum = 0.0;     // of rewards
    double weight = 0.0;  // how many they count as
  };
  std::map<int64_t, Value> values_;
};

}  // namespace grpo::trainer
