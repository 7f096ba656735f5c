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

/// What the loop gives to a step.
struct StepCall {
  int64_t step = 0;  // its number, from 1
  update::Learner learner;
  std::optional<update::Learner> critic = {};  // method ppo
  std::function<bool()> should_stop;           // asked between decode steps and micro-batches; true drops the step
  std::function<void(const StepProgress&)> on_progress;  // called on the thread that called
};

/// A way to learn from data. The loop counts steps, evaluates, saves, logs and stops; what a step does, what it
/// measures and what it carries to the next one is the method's. A step is a collective, and so are its measures.
class Method {
 public:
  virtual ~Method() = default;

  /// One step. False when should_stop ended it, on any rank: nothing has changed then, and it is taken again after a
  /// restart.
  virtual bool take_step(const StepCall& call) = 0;

  // Of the last step that was taken whole:

  virtual const UpdateStats& update() const = 0;
  /// What it measured, under the names of metrics.jsonl.
  virtual metrics::MetricsLine measures() const = 0;
  /// What tells whether the run is still learning. skipped_updates is the loop's to fill in.
  virtual StepSigns signs() const = 0;
  /// What somebody should look at, in whole sentences; usually nothing. Called once a step.
  virtual std::vector<std::string> warnings() = 0;
  /// What it learned from: at most `most` samples as JSON Lines, and a view of them for TensorBoard.
  virtual void write_samples(const std::filesystem::path& file, int64_t most) const = 0;
  virtual void show_samples(metrics::TensorBoardWriter& writer, double time) const = 0;
  /// For the console: what it knows of the status, and a line of how the step went. left_s: estimated seconds to the
  /// end of the run.
  virtual void show(metrics::Status& status) const = 0;
  virtual std::string summary(int64_t total_steps, double step_s, double left_s) const = 0;

  // What goes from step to step, among the keys of a checkpoint's state.json:

  virtual void save(nlohmann::json& state) const = 0;
  virtual void restore(const nlohmann::json& state) = 0;
  /// The problems are not those of the state: drops what belonged to each of them.
  virtual void forget_problems() = 0;
};

}  // namespace grpo::trainer
