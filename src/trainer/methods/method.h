#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "grpo/metrics/console.h"
#include "grpo/metrics/metrics_file.h"
#include "grpo/metrics/tensorboard.h"
#include "grpo/trainer/grpo_step.h"
#include "trainer/divergence.h"

namespace grpo::trainer {

/// What the loop gives to a step of a method.
struct StepCall {
  int64_t step = 0;  // its number, from 1
  update::Learner learner;
  std::optional<update::Learner> critic = {};  // method ppo
  std::function<bool()> should_stop;           // asked between decode steps and micro-batches; true drops the step
  std::function<void(const StepProgress&)> on_progress;  // called on the thread that called take_step()
};

/// A way to learn from data. The loop counts steps, evaluates, saves, logs and stops; a method decides what a step
/// does, what it measures and what it carries to the next one. All ranks make the same calls.
class Method {
 public:
  virtual ~Method() = default;

  /// Takes one step. Returns false when should_stop ended it, on any rank: weights and state have not changed then, and
  /// the step is taken again after a restart. A collective.
  virtual bool take_step(const StepCall& call) = 0;

  // Of the last step that was not ended by should_stop:

  /// The summary of its updates (update::mean_of_updates).
  virtual const UpdateStats& update() const = 0;
  /// What it measured, under the names of metrics.jsonl.
  virtual metrics::MetricsLine measures() const = 0;
  /// What tells whether the run is still learning. The caller fills in skipped_updates.
  virtual StepSigns signs() const = 0;
  /// Warnings for the people who run it, as whole sentences; usually none. Called once a step.
  virtual std::vector<std::string> warnings() = 0;
  /// Show what it learned from: at most `most` samples as JSON Lines in a file, and a view of them for TensorBoard.
  virtual void write_samples(const std::filesystem::path& file, int64_t most) const = 0;
  virtual void show_samples(metrics::TensorBoardWriter& writer, double time) const = 0;
  /// For the console: show() fills in what it knows of the status, summary() says in a line how the step went. left_s:
  /// estimated seconds to the end of the run.
  virtual void show(metrics::Status& status) const = 0;
  virtual std::string summary(int64_t total_steps, double step_s, double left_s) const = 0;

  // What is carried from step to step, as keys of a checkpoint's state.json:

  virtual void save(nlohmann::json& state) const = 0;
  virtual void restore(const nlohmann::json& state) = 0;
  /// Called after restore() when the problems are not those of the state: drops what is kept for each problem.
  virtual void forget_problems() = 0;
};

}  // namespace grpo::trainer
