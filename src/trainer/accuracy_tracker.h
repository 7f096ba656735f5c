#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>

namespace grpo::trainer {

/// Keeps each prompt's running accuracy, with a Beta(1, 1) prior and exponential forgetting, and predicts from it the
/// number of dead groups: with accuracy p a group of G is dead with probability p^G + (1 - p)^G.
class AccuracyTracker {
 public:
  /// The chance that all `group_size` completions of this prompt will be right, or all wrong. For a prompt that was not
  /// seen yet p is 1/2.
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
