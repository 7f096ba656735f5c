#pragma once

#include <string>
#include <vector>

#include "report/arms.h"

namespace grpo::report {

/// Compares one arm with the first by one measure of accuracy, and says whether the difference is beyond chance.
struct Verdict {
  std::string arm;
  std::string baseline;
  std::string metric;  // eval/<set>/mean@k, or "accuracy" where nothing was evaluated
  double value = 0.0;  // the arm's final value, averaged over its seeds
  double baseline_value = 0.0;
  double rollouts_share = 0.0;  // rollouts relative to the baseline's
  double time_share = 0.0;      // time/train relative to the baseline's
  double difference = 0.0;      // value - baseline_value in percentage points
  double half_width = 0.0;      // of its 95 % interval; NaN when none can be computed
  std::string method;           // how the interval was made
  std::string text;             // all of this in one sentence
};

/// The verdicts in the order of the arms, one for each evaluation set that both the arm and the baseline have.
std::vector<Verdict> verdicts_of(const std::vector<Arm>& arms);

/// The sentence that explains why there is no verdict.
std::string no_verdict(const std::vector<Arm>& arms);

}  // namespace grpo::report
