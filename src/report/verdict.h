#pragma once

#include <string>
#include <vector>

#include "report/arms.h"

namespace grpo::report {

/// One arm against the first on one measure of accuracy, with the statistic behind the words.
struct Verdict {
  std::string arm;
  std::string baseline;
  std::string metric;  // eval/<set>/mean@k, or accuracy where nothing was evaluated
  double value = 0.0;  // final, mean over seeds
  double baseline_value = 0.0;
  double rollouts_share = 0.0;  // of the baseline's rollouts
  double time_share = 0.0;      // of its time/train
  double difference = 0.0;      // in points (percent of problems)
  double half = 0.0;            // of its 95 % interval; NaN when there is nothing to take one from
  std::string method;           // how the interval was made
  std::string text;             // all of it in one sentence
};

/// In the order of the arms, one for each evaluation set that both arms have.
std::vector<Verdict> verdicts_of(const std::vector<Arm>& arms);

/// What is said when there is no verdict: why not.
std::string no_verdict(const std::vector<Arm>& arms);

}  // namespace grpo::report
