#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// Runs that differ only in their seed and name: one configuration, several seeds.
struct Arm {
  std::string name;                     // what the runs' names share; a single run's name
  std::vector<const RunSummary*> runs;  // not owned
};

/// In the order in which the runs are named; the first arm holds the first run and is the baseline.
std::vector<Arm> arms_of(const std::vector<RunSummary>& runs);

/// A mean with half the width of its 95 % interval (Student's t); the half is NaN for fewer than two values.
struct Interval {
  double mean = 0.0;
  double half = 0.0;
};
Interval interval_of(const std::vector<double>& values);

/// The 97.5 % quantile of Student's t; df >= 1 need not be whole.
double t_quantile(double df);

/// Mean of b minus mean of a with its 95 % interval by Welch's test; both need at least two values.
Interval welch_difference(const std::vector<double>& a, const std::vector<double>& b);

/// The values of one arm, leaving out those that are not finite.
std::vector<double> values_of(const Arm& arm, const std::function<double(const RunSummary&)>& value);

/// An arm's curves: means over its seeds at each line that every seed has reached, thinned to at most `max_points`
/// lines (those with an evaluation are kept).
struct ArmCurves {
  std::vector<Position> positions;
  struct Series {
    std::vector<double> mean;  // one a position; NaN where the metric has no value
    std::vector<double> half;  // of the 95 % interval over seeds; empty for one run
  };
  std::map<std::string, Series> series;
};
ArmCurves curves_of(const Arm& arm, const std::vector<std::string>& metrics, size_t max_points);

}  // namespace grpo::report
