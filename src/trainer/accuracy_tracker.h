#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>

#include "grpo/base/random.h"

namespace grpo::trainer {

/// At each visit of a prompt, all its earlier outcomes are multiplied by this: the policy moves, so old ones say less.
inline constexpr double kForgetting = 0.7;

/// Keeps each prompt's running accuracy, with a Beta(1, 1) prior and exponential forgetting, and predicts from it which
/// groups will be dead: with accuracy p a group of G is dead with probability p^G + (1 - p)^G. A prompt is known by its
/// row (Prompt::row).
class AccuracyTracker {
 public:
  /// The chance that all `group_size` completions of this prompt will be right, or all wrong. p is 1/2 for a prompt
  /// that was never recorded.
  double dead_probability(int64_t row, int64_t group_size) const;
  /// Whether outcomes of this prompt were recorded.
  bool knows(int64_t row) const { return counts_.contains(row); }
  /// Draws a p from this prompt's Beta distribution (Thompson sampling). The same key serves all rows, since the number
  /// depends on the row too.
  double sample(int64_t row, const base::RandomKey& key) const;
  /// Takes in a visit: `right` of `total` completions were right.
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
