#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// An arm of the comparison: the runs of one configuration, which differ in nothing but seed, name and output folder.
struct Arm {
  std::string name;                     // the common part of the runs' names, or the name of a single run
  std::vector<const RunSummary*> runs;  // owned by the caller of arms_of
};

/// Groups runs into arms, in the order in which the runs are given. The first arm holds the
/// first run and is the baseline.
std::vector<Arm> arms_of(const std::vector<RunSummary>& runs);

/// A mean and half the width of its 95 % interval (Student's t); `half_width` is NaN for fewer than two values.
struct Interval {
  double mean = 0.0;
  double half_width = 0.0;
};
Interval interval_of(const std::vector<double>& values);

/// The 97.5 % quantile of Student's t with `df` degrees of freedom, which need not be whole. REQUIRES: df >= 1.
double t_quantile(double df);

/// Mean of b minus mean of a with its 95 % interval by Welch's test. REQUIRES: a and b have at least two values each.
Interval welch_difference(const std::vector<double>& a, const std::vector<double>& b);

/// The finite values among the values of an arm's runs.
std::vector<double> values_of(const Arm& arm, const std::function<double(const RunSummary&)>& value);

/// An arm's curves, averaged over its seeds at each step that every seed has reached. Long curves are thinned to about
/// `max_points` steps, but all steps with an evaluation are kept.
struct ArmCurves {
  std::vector<Position> positions;
  struct Series {
    std::vector<double> mean;        // one per position; NaN where a seed has no value of the metric
    std::vector<double> half_width;  // of the 95 % interval over seeds; empty for a single run
  };
  std::map<std::string, Series> series;
};
ArmCurves curves_of(const Arm& arm, const std::vector<std::string>& metrics, size_t max_points);

}  // namespace grpo::report
