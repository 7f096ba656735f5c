#include "report/verdict.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/arm_label.h"
#include "report/table.h"
#include "report/text.h"

namespace grpo::report {
namespace {

double final_value(const RunSummary& run, const std::string& metric) {
  return metric == "accuracy" ? run.late_mean(metric) : run.last(metric);
}

double mean_over_seeds(const Arm& arm, const std::function<double(const RunSummary&)>& value) {
  return interval_of(values_of(arm, value)).mean;
}

// The last evaluations of two runs, problem by problem.
struct Pairing {
  size_t ours = 0, theirs = 0;      // how many problems each was evaluated on; 0 where that is not known
  std::vector<double> differences;  // b - a, of the problems that they share
  bool same_problems() const { return differences.size() == ours && differences.size() == theirs; }
  bool is_known() const { return ours > 0 && theirs > 0; }
};

Pairing pairing_of(const RunSummary& a, const RunSummary& b, const std::string& metric) {
  const auto ours = last_eval_by_problem(a, metric);
  const auto theirs = last_eval_by_problem(b, metric);
  Pairing pairing{.ours = ours.size(), .theirs = theirs.size(), .differences = {}};
  for (const auto& [problem, value] : ours) {
    if (const auto found = theirs.find(problem); found != theirs.end())
      pairing.differences.push_back(found->second - value);
  }
  return pairing;
}

void add_difference(Verdict& verdict, const Arm& baseline, const Arm& arm) {
  const auto value = [&](const RunSummary& run) { return final_value(run, verdict.metric); };
  const auto a = values_of(baseline, value);
  const auto b = values_of(arm, value);
  Interval difference{.mean = verdict.value - verdict.baseline_value,
                      .half_width = std::numeric_limits<double>::quiet_NaN()};
  if (a.size() > 1 && b.size() > 1) {
    difference = welch_difference(a, b);
    verdict.method = "Welch's t over " + std::to_string(a.size()) + " and " + std::to_string(b.size()) + " seeds";
  } else if (baseline.runs.size() == 1 && arm.runs.size() == 1) {
    // The spread over problems shows how much the mean difference would change with another set of problems.
    const auto pairs = pairing_of(*baseline.runs.front(), *arm.runs.front(), verdict.metric);
    if (pairs.same_problems() && pairs.differences.size() > 1) {
      difference.half_width = interval_of(pairs.differences).half_width;
      verdict.method = "paired over " + std::to_string(pairs.ours) + " problems, one seed each";
    }
  }
  verdict.difference = 100.0 * difference.mean;
  verdict.half_width = 100.0 * difference.half_width;
}

std::string meaning(const Verdict& verdict) {
  if (!std::isfinite(verdict.half_width))
    return "no interval: that takes two seeds of each, or one of each with results by problem";
  const std::string how = " (95 %, " + verdict.method + ")";
  if (std::abs(verdict.difference) <= verdict.half_width) return "no difference beyond chance" + how;
  return (verdict.difference > 0.0 ? "better" : "worse") + (" beyond chance" + how);
}

// Runs on written texts have none of their own: no share can be said where one of the two is such a run.
std::string share_of_rollouts(const Verdict& verdict) {
  const bool both = std::isfinite(verdict.rollouts_share) && verdict.rollouts_share > 0.0;
  return both ? " with " + number(100.0 * verdict.rollouts_share, "%.1f") + " % of its rollouts" : "";
}

std::string sentence(const Verdict& verdict) {
  const std::string measure = verdict.metric == "accuracy" ? "training accuracy" : without_eval(verdict.metric);
  std::string text = verdict.arm + " reaches " + number(100.0 * verdict.value / verdict.baseline_value, "%.1f") +
                     " % of " + verdict.baseline + "'s " + measure + " (" + number(100.0 * verdict.value, "%.1f") +
                     " % against " + number(100.0 * verdict.baseline_value, "%.1f") + " %)" +
                     share_of_rollouts(verdict) + " in " + number(verdict.time_share, "%.2f") +
                     " of its time; difference " + signed_number(verdict.difference, "%.1f");
  if (std::isfinite(verdict.half_width)) text += " ± " + number(verdict.half_width, "%.1f");
  return text + " points: " + meaning(verdict) + ".";
}

// A seed that is still running, or was stopped, is averaged with those that have finished: the reader must know.
std::string uneven_seeds(const Arm& arm, const std::string& label) {
  std::vector<int64_t> steps;
  for (const auto* run : arm.runs) steps.push_back(run->steps);
  std::sort(steps.begin(), steps.end());
  if (steps.front() == steps.back()) return "";
  return " The seeds of " + label + " are " + std::to_string(steps.front()) + " to " + std::to_string(steps.back()) +
         " steps long.";
}

// Sets are known by their files' names, and under one name two runs may have had different problems. The runs of an arm
// have one configuration, so the first of each tells.
std::string other_problems(const Arm& arm, const Arm& baseline, const Verdict& verdict) {
  const auto pairs = pairing_of(*baseline.runs.front(), *arm.runs.front(), verdict.metric);
  if (!pairs.is_known() || pairs.same_problems()) return "";
  return " The problems were not the same: of " + std::to_string(pairs.theirs) + " of " + verdict.arm + " and " +
         std::to_string(pairs.ours) + " of " + verdict.baseline + ", " + std::to_string(pairs.differences.size()) +
         " agree in id and answer, so that the figures do not compare.";
}

Verdict compare(const std::vector<Arm>& arms, const Arm& arm, const std::string& metric) {
  const Arm& baseline = arms.front();
  const auto value = [&](const RunSummary& run) { return final_value(run, metric); };
  const auto share = [&](double RunSummary::*member) {
    const auto mean = [&](const Arm& of) {
      return mean_over_seeds(of, [&](const RunSummary& run) { return run.*member; });
    };
    return mean(arm) / mean(baseline);
  };
  Verdict verdict{.arm = label_of(arm, arms),
                  .baseline = label_of(baseline, arms),
                  .metric = metric,
                  .value = mean_over_seeds(arm, value),
                  .baseline_value = mean_over_seeds(baseline, value),
                  .rollouts_share = share(&RunSummary::rollouts),
                  .time_share = share(&RunSummary::train_s),
                  .difference = 0.0,
                  .half_width = 0.0,
                  .method = "",
                  .text = ""};
  add_difference(verdict, baseline, arm);
  verdict.text = sentence(verdict) + other_problems(arm, baseline, verdict) + uneven_seeds(arm, verdict.arm) +
                 uneven_seeds(baseline, verdict.baseline);
  return verdict;
}

}  // namespace

std::vector<Verdict> verdicts_of(const std::vector<Arm>& arms) {
  auto metrics = accuracy_metrics(arms);
  if (metrics.empty()) metrics = {"accuracy"};
  std::vector<Verdict> verdicts;
  for (size_t i = 1; i < arms.size(); ++i) {
    for (const auto& metric : metrics) {
      auto verdict = compare(arms, arms[i], metric);
      if (std::isfinite(verdict.value) && std::isfinite(verdict.baseline_value)) verdicts.push_back(std::move(verdict));
    }
  }
  return verdicts;
}

std::string no_verdict(const std::vector<Arm>& arms) {
  if (arms.size() == 1)
    return "One configuration: nothing to compare it with. Name two or more runs, the baseline first.";
  return "No verdict yet: the first run and another one need a value of the same measure of accuracy.";
}

}  // namespace grpo::report
