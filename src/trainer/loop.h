#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "grpo/metrics/metrics_file.h"
#include "grpo/metrics/timer.h"
#include "grpo/trainer/train.h"
#include "trainer/checkpointing.h"
#include "trainer/divergence_guard.h"
#include "trainer/fork.h"
#include "trainer/metric_watch.h"
#include "trainer/run.h"
#include "trainer/run_log.h"
#include "trainer/run_start.h"
#include "trainer/stopping.h"
#include "trainer/watchdog.h"

namespace grpo::trainer {

/// The training loop around a method: steps, evaluation, checkpoints, resume, signals.
class Loop {
 public:
  /// Assembles the run, or restores it from start's checkpoint. Nothing in the run folder changes before run(). All
  /// that is given outlives it; fork: where the checkpoint is another run's; profile: writes the second step's profile.
  Loop(const TrainConfig& config, RunStart& start, std::optional<Fork> fork, dist::Communicator& communicator,
       bool profile);

  /// Trains until trainer.steps are done or a signal asks to stop. Throws what ends a run early.
  Outcome run();

 private:
  void begin();
  void look_for_interruption(const std::filesystem::path& checkpoint);
  Outcome train_to_the_end();
  void train_step();
  bool take_step(int64_t step);
  bool call_method(int64_t step);
  bool evaluate(metrics::MetricsLine& line);
  bool finish_step(metrics::MetricsLine line, const metrics::Timer& step_timer, double cpu_s);
  void finish_interrupted_step();
  bool is_last() const;
  bool is_better(const metrics::MetricsLine& line, bool saved);
  void save(const metrics::MetricsLine& line, bool evaluated, bool best = false);
  void note_progress(const StepProgress& progress);
  bool goes_on_and(bool answer);
  bool stops();
  double largest(double value) const;
  double peak_bytes() const;

  const TrainConfig& config_;
  RunStart& start_;
  std::optional<Fork> fork_;
  const bool profile_;
  dist::Communicator& communicator_;
  RunLog log_;  // first of what can speak, so that messages go to stderr again when all else is gone
  Stopping stop_;
  std::unique_ptr<Run> run_;
  Checkpointing checkpoints_;
  DivergenceGuard divergence_;
  Goal goal_;
  BestOf best_;                         // of checkpoint.keep_best
  std::unique_ptr<Watchdog> watchdog_;  // once the run has begun
  int64_t step_ = 0;                    // completed
  int64_t first_step_ = 0;              // steps that were done when this process began
  metrics::MetricsLine last_line_;      // of the last completed step
  std::optional<nlohmann::json>
      interrupted_;        // state.json of the start checkpoint when its step's line is not written yet
  bool stopping_ = false;  // a signal reached some rank, and all know it
};

}  // namespace grpo::trainer
