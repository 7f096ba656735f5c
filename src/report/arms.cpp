#include "report/arms.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace grpo::report {
namespace {

bool same_but_seed(const RunSummary& a, const RunSummary& b) {
  if (a.config.empty() || b.config.empty()) return false;  // runs without config.yaml cannot be known to agree
  auto without_names = [](std::map<std::string, std::string> config) {
    for (const char* key : {"run.seed", "run.name", "run.output"}) config.erase(key);
    return config;
  };
  return a.config_value("run.seed") != b.config_value("run.seed") && without_names(a.config) == without_names(b.config);
}

// What the names have in common, without separators and "seed" at its end: run_seed1 and run_seed2 give run.
std::string shared_name(const std::vector<const RunSummary*>& runs) {
  std::string name = runs.front()->name;
  if (runs.size() == 1) return name;
  for (const auto* run : runs) {
    name.erase(static_cast<size_t>(std::mismatch(name.begin(), name.end(), run->name.begin(), run->name.end()).first -
                                   name.begin()));
  }
  const auto cut = [&](const std::string& end) {
    if (name.ends_with(end)) name.erase(name.size() - end.size());
  };
  const auto trim = [&] { name.erase(name.find_last_not_of("_-. ") + 1); };
  trim();
  cut("seed");
  if (name.ends_with("_s") || name.ends_with("-s")) cut("s");
  trim();
  return name.empty() ? runs.front()->name : name;
}

double variance(const std::vector<double>& values, double mean) {
  double sum = 0.0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return sum / static_cast<double>(values.size() - 1);
}

double mean_of(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return values.empty() ? kNoValue : sum / static_cast<double>(values.size());
}

// Indices of the steps at which the run is shown: every k-th, the last, and those with an evaluation.
std::vector<size_t> shown_lines(const RunSummary& run, size_t max_points) {
  const size_t every = std::max<size_t>(1, (run.positions.size() + max_points - 1) / std::max<size_t>(1, max_points));
  std::vector<int64_t> evaluated;
  for (const auto& name : run.mean_at_k()) {
    for (const auto& [step, value] : run.curves.at(name)) evaluated.push_back(step);
  }
  std::vector<size_t> lines;
  for (size_t i = 0; i < run.positions.size(); ++i) {
    const bool kept = std::find(evaluated.begin(), evaluated.end(), run.positions[i].step) != evaluated.end();
    if (i % every == 0 || i + 1 == run.positions.size() || kept) lines.push_back(i);
  }
  return lines;
}

const Position* position_at(const RunSummary& run, int64_t step) {
  const auto found = std::lower_bound(run.positions.begin(), run.positions.end(), step,
                                      [](const Position& position, int64_t wanted) { return position.step < wanted; });
  return found != run.positions.end() && found->step == step ? &*found : nullptr;
}

double value_at(const RunSummary& run, const std::string& metric, int64_t step) {
  const auto curve = run.curves.find(metric);
  if (curve == run.curves.end()) return kNoValue;
  const auto found = std::lower_bound(curve->second.begin(), curve->second.end(),
                                      std::pair(step, -std::numeric_limits<double>::infinity()));
  return found != curve->second.end() && found->first == step ? found->second : kNoValue;
}

// Sets `mean` to the mean of the runs' positions at `step`; returns false when one of them has not reached that step.
bool mean_position(const Arm& arm, int64_t step, Position& mean) {
  mean = {.step = step};
  const auto seeds = static_cast<double>(arm.runs.size());
  for (const auto* run : arm.runs) {
    const Position* position = position_at(*run, step);
    if (position == nullptr) return false;
    mean.rollouts += position->rollouts / seeds;
    mean.train_s += position->train_s / seeds;
    mean.wall_s += position->wall_s / seeds;
  }
  return true;
}

}  // namespace

std::vector<Arm> arms_of(const std::vector<RunSummary>& runs) {
  std::vector<Arm> arms;
  for (const auto& run : runs) {
    const auto fits = [&](const Arm& arm) {
      return std::all_of(arm.runs.begin(), arm.runs.end(),
                         [&](const auto* other) { return same_but_seed(*other, run); });
    };
    const auto found = std::find_if(arms.begin(), arms.end(), fits);
    if (found == arms.end())
      arms.push_back({.name = "", .runs = {&run}});
    else
      found->runs.push_back(&run);
  }
  for (auto& arm : arms) arm.name = shared_name(arm.runs);
  return arms;
}

// Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5). Below 4 degrees of freedom, where it is inaccurate, exact
// values with linear interpolation between them.
double t_quantile(double df) {
  constexpr double kExact[] = {12.706, 4.303, 3.182, 2.776};
  if (df < 4.0) {
    const auto below = static_cast<size_t>(std::max(df, 1.0)) - 1;
    const double share = std::max(df, 1.0) - static_cast<double>(below + 1);
    return kExact[below] + share * (kExact[below + 1] - kExact[below]);
  }
  constexpr double z = 1.959964;
  const double g1 = (z * z * z + z) / 4.0;
  const double g2 = (5.0 * std::pow(z, 5) + 16.0 * z * z * z + 3.0 * z) / 96.0;
  const double g3 = (3.0 * std::pow(z, 7) + 19.0 * std::pow(z, 5) + 17.0 * z * z * z - 15.0 * z) / 384.0;
  const double g4 =
      (79.0 * std::pow(z, 9) + 776.0 * std::pow(z, 7) + 1482.0 * std::pow(z, 5) - 1920.0 * z * z * z - 945.0 * z) /
      92160.0;
  return z + g1 / df + g2 / (df * df) + g3 / (df * df * df) + g4 / (df * df * df * df);
}

Interval interval_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  if (values.size() < 2) return {.mean = mean, .half_width = kNoValue};
  const auto n = static_cast<double>(values.size());
  return {.mean = mean, .half_width = t_quantile(n - 1.0) * std::sqrt(variance(values, mean) / n)};
}

Interval welch_difference(const std::vector<double>& a, const std::vector<double>& b) {
  const double mean_a = mean_of(a);
  const double mean_b = mean_of(b);
  const auto na = static_cast<double>(a.size());
  const auto nb = static_cast<double>(b.size());
  const double va = variance(a, mean_a) / na;
  const double vb = variance(b, mean_b) / nb;
  if (va + vb == 0.0) return {.mean = mean_b - mean_a, .half_width = 0.0};
  const double df = (va + vb) * (va + vb) / (va * va / (na - 1.0) + vb * vb / (nb - 1.0));
  return {.mean = mean_b - mean_a, .half_width = t_quantile(df) * std::sqrt(va + vb)};
}

std::vector<double> values_of(const Arm& arm, const std::function<double(const RunSummary&)>& value) {
  std::vector<double> values;
  for (const auto* run : arm.runs) {
    if (const double one = value(*run); std::isfinite(one)) values.push_back(one);
  }
  return values;
}

ArmCurves curves_of(const Arm& arm, const std::vector<std::string>& metrics, size_t max_points) {
  ArmCurves curves;
  for (const size_t line : shown_lines(*arm.runs.front(), max_points)) {
    const int64_t step = arm.runs.front()->positions[line].step;
    Position position;
    if (!mean_position(arm, step, position)) continue;
    curves.positions.push_back(position);
    for (const auto& metric : metrics) {
      const auto values = values_of(arm, [&](const RunSummary& run) { return value_at(run, metric, step); });
      const Interval interval = interval_of(values);
      auto& series = curves.series[metric];
      series.mean.push_back(values.size() == arm.runs.size() ? interval.mean : kNoValue);
      if (arm.runs.size() > 1)
        series.half_width.push_back(values.size() == arm.runs.size() ? interval.half_width : kNoValue);
    }
  }
  return curves;
}

}  // namespace grpo::report
