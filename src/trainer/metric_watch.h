#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

#include "grpo/metrics/metrics_file.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// The largest value that a metric of metrics.jsonl has had, and when.
class BestOf {
 public:
  /// name: empty: of nothing.
  explicit BestOf(std::string name) : name_(std::move(name)) {}

  /// Throws base::ConfigError, naming `key` and the nearest name, when the metric is none that the run has.
  void check(const metrics::MetricsLine& line, const std::string& key) const;
  /// Whether this step's line has the metric, and a larger value than any before it, or the first.
  bool look_at(int64_t step, const metrics::MetricsLine& line);

  const std::string& name() const { return name_; }
  bool is_in_line() const { return in_line_; }  // in the one that was looked at last
  double value() const { return value_; }
  int64_t step() const { return step_; }  // of the largest; -1: none yet

  nlohmann::json to_json() const;
  /// What another run, or another metric, has written changes nothing.
  void restore(const nlohmann::json& state);

 private:
  std::string name_;
  bool in_line_ = false;
  double value_ = 0.0;
  int64_t step_ = -1;
};

/// trainer.stop_on: when a run has come where it was to go.
class Goal {
 public:
  explicit Goal(const StopOnConfig& config) : config_(config), best_(config.metric) {}

  /// Twice for one step, before and after its evaluation.
  void look_at(int64_t step, const metrics::MetricsLine& line);

  /// Why the run ends, as "accuracy is 0.91, at least 0.9"; empty while it goes on.
  const std::string& reached() const { return reached_; }

  nlohmann::json to_json() const;
  void restore(const nlohmann::json& state, int64_t step);

 private:
  void judge(int64_t step);

  const StopOnConfig& config_;
  BestOf best_;
  std::string reached_;
};

/// Throws base::ConfigError for a goal that is half said.
void validate_goal(const StopOnConfig& config);

}  // namespace grpo::trainer
