#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>

#include "grpo/base/random.h"

namespace grpo::trainer {

/// What an earlier visit of a prompt still counts for at the next one: the policy moves, so old answers say less.
inline constexpr double kForgetting = 0.7;

/// Keeps each prompt's running accuracy, with a Beta(1, 1) prior and exponential forgetting, and predicts from it the
/// number of dead groups: with accuracy p a group of G is dead with probability p^G + (1 - p)^G.
class AccuracyTracker {
 public:
  /// The chance that all `group_size` completions of this prompt will be right, or all wrong. For a prompt that was not
  /// seen yet p is 1/2.
  double dead_probability(int64_t row, int64_t group_size) const;
  /// Whether this prompt was seen.
  bool knows(int64_t row) const { return counts_.contains(row); }
  /// A p for this prompt from its Beta distribution (Thompson sampling); key: of the whole drawing, the same for all
  /// rows.
  double sample(int64_t row, const base::RandomKey& key) const;
  void record(int64_t row, int64_t right, int64_t total);

  nlohmann::json to_json() const;
  static AccuracyTracker from_json(const nlohmann::json& json);

 private:
  struct Counts {
    double right = 0.0;
    double wrong = 0.0;
  };
  Counts counts_of(int64_t row) const;
  std::map<int64_t, Counts> counts_;
};

}  // namespace grpo::trainer
