#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace grpo::trainer {

/// Keeps for each prompt the mean of its rewards, with exponential forgetting, as a baseline for groups of one. The
/// mean begins with the baseline of the first reward, which counts as two rewards. For rewards of 0 and 1 the value is
/// then the mean of a Beta distribution whose counts are multiplied by kForgetting at each visit (SPO, arXiv
/// 2509.13232).
class ValueTracker {
 public:
  /// The value of the prompt in this row (Prompt::row); nullopt before its first reward.
  std::optional<double> of(int64_t row) const;
  /// Takes in a reward. baseline: what it was compared with; used at the prompt's first reward only.
  void record(int64_t row, double reward, double baseline);

  nlohmann::json to_json() const;
  static ValueTracker from_json(const nlohmann::json& json);

 private:
  struct Value {
    double sum = 0.0;     // of rewards, the older ones weighed less
    double weight = 0.0;  // the number of rewards that `sum` counts as
  };
  std::map<int64_t, Value> values_;
};

}  // namespace grpo::trainer
