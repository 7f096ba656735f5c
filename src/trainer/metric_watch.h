#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/metrics/metrics_file.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// Whether a metric of this name is only in lines of steps with an evaluation.
bool is_of_evaluation(const std::string& name);

/// Sets the metrics of these names, where the line has them, to what rank 0 has measured. Times and speeds differ
/// between ranks, and so may the last digits of other figures on unlike machines, so ranks that judged by their own
/// would end the run, or save, in different steps. REQUIRES: the lines of all ranks have the same names. A collective.
void take_from_rank_0(const std::vector<std::string>& names, dist::Communicator& communicator,
                      metrics::MetricsLine& line);

/// The largest value that a metric of metrics.jsonl has had, and in which step.
class BestOf {
 public:
  /// name: of the metric; if it is empty, nothing is watched.
  explicit BestOf(std::string name) : name_(std::move(name)) {}

  /// Throws base::ConfigError, naming `key` and the nearest name, when the line has no such metric. A metric of
  /// evaluations is missed only in a line that has figures of an evaluation.
  void check(const metrics::MetricsLine& line, const std::string& key) const;
  /// Takes in a step's line. Returns whether it has the metric with a larger value than any step before it, or the
  /// first one. A step may be looked at again; its last value counts.
  bool look_at(int64_t step, const metrics::MetricsLine& line);

  const std::string& name() const { return name_; }
  bool is_in_line() const { return in_line_; }  // whether the line that was looked at last has the metric
  double value() const { return value_; }
  int64_t step() const { return step_; }  // the step of the largest value; -1: there is none yet

  nlohmann::json to_json() const;
  /// Restores what to_json() gave. The state of another metric is ignored.
  void restore(const nlohmann::json& state);

 private:
  std::string name_;
  bool in_line_ = false;
  double value_ = 0.0;
  int64_t step_ = -1;
};

/// trainer.stop_on: decides when a run has reached its goal.
class Goal {
 public:
  explicit Goal(const StopOnConfig& config) : config_(config), best_(config.metric) {}

  /// Takes in a step's line. Called twice for a step, before and after its evaluation. Throws what BestOf::check
  /// throws.
  void look_at(int64_t step, const metrics::MetricsLine& line);

  /// Why the run ends, as "accuracy is 0.91, at least 0.9"; empty while it goes on.
  const std::string& reached() const { return reached_; }

  nlohmann::json to_json() const;
  /// Restores what to_json() gave after `step`, and decides anew whether the goal was reached in the last step that had
  /// the metric.
  void restore(const nlohmann::json& state, int64_t step);

 private:
  void judge(int64_t step);

  const StopOnConfig& config_;
  BestOf best_;
  int64_t judged_ = -1;  // the last step whose line had the metric; -1: there is none yet
  std::string reached_;
};

/// Throws base::ConfigError, naming `key`, for what metrics.jsonl has in its lines but cannot be watched. Other names
/// are known only after the first step.
void validate_watched(const std::string& name, const std::string& key);

/// Throws base::ConfigError for a goal with a metric but no bound, or a bound but no metric, and what
/// validate_watched() throws.
void validate_goal(const StopOnConfig& config);

}  // namespace grpo::trainer
