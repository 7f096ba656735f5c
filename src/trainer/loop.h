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

/// The training loop around a method: it counts steps, evaluates, saves, resumes and minds signals.
class Loop {
 public:
  /// Assembles the run, and restores it from start's checkpoint if there is one. Nothing in the run folder changes
  /// before run(). What is given must outlive the loop. fork: set if the checkpoint is another run's that is forked.
  /// profile: writes a profile of the second step.
  Loop(const TrainConfig& config, RunStart& start, std::optional<Fork> fork, dist::Communicator& communicator,
       bool profile);

  /// Trains until trainer.steps are done, trainer.stop_on is reached or a signal asks to stop. Throws what ends a run
  /// with an error. A collective.
  Outcome run();

 private:
  void begin();
  void look_for_interruption(const std::filesystem::path& checkpoint);
  void look_for_best();
  Outcome train_to_the_end();
  void train_step();
  bool take_step(int64_t step);
  bool call_method(int64_t step);
  bool evaluate(metrics::MetricsLine& line);
  bool finish_step(metrics::MetricsLine line, const metrics::Timer& step_timer, double cpu_s);
  void finish_interrupted_step();
  void take_watched_from_rank_0(metrics::MetricsLine& line) const;
  void check_watched(const metrics::MetricsLine& first_evaluation) const;
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
  RunLog log_;  // before all members that log, since it gives messages back to stderr when it is destroyed
  Stopping stop_;
  std::unique_ptr<Run> run_;
  Checkpointing checkpoints_;
  DivergenceGuard divergence_;
  Goal goal_;
  BestOf best_;                         // the metric of checkpoint.keep_best
  std::unique_ptr<Watchdog> watchdog_;  // null before begin() and after the last step
  int64_t step_ = 0;                    // the last completed step
  int64_t first_step_ = 0;              // the last completed step when this process began
  metrics::MetricsLine last_line_;      // of the last completed step
  // The state.json of the checkpoint that the run starts from, while the line of its step is not in metrics.jsonl yet.
  std::optional<nlohmann::json> interrupted_;
  bool stopping_ = false;  // a signal has reached some rank, and all ranks know of it
};

}  // namespace grpo::trainer
