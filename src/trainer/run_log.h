#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "grpo/metrics/console.h"
#include "grpo/metrics/metrics_file.h"
#include "grpo/metrics/prometheus.h"
#include "grpo/metrics/tensorboard.h"
#include "grpo/metrics/timer.h"
#include "trainer/methods/method.h"

namespace grpo::trainer {

/// Everything that a run reports: metrics.jsonl, TensorBoard, Prometheus, rollout files and the console. On ranks that
/// do not write (all but rank 0) only warnings are logged.
class RunLog {
 public:
  /// Takes the console and Prometheus' address. Made before the model is loaded, so that an address that is in use is
  /// noticed at once.
  RunLog(const TrainConfig& config, bool writes);

  /// Opens the files in the run's folder, which must exist.
  void open(const std::filesystem::path& folder, int64_t total_steps);

  /// Starts to count the run's time. done: the last completed step.
  void start_clock(int64_t done);
  double seconds() const { return timer_.seconds(); }

  void begin_step(int64_t step);
  void progress(const StepProgress& progress);
  /// Shows what the run is doing besides steps, as "evaluation"; empty: nothing besides.
  void doing(const std::string& what);

  // The calls after a step, in this order: its samples and warnings, its metrics line, and how it went.
  void samples(Method& method, int64_t step);
  void line(int64_t step, const metrics::MetricsLine& line);
  void result(const Method& method, int64_t step, double step_s);

  /// Throws base::IoError when metrics lines could not be written to stdout (logging.console: json), since a reader may
  /// wait for them.
  void check_complete() const;

 private:
  double steps_left(int64_t step) const;

  const TrainConfig& config_;
  const bool writes_;
  metrics::Console console_;
  metrics::Status status_;
  std::filesystem::path folder_;
  std::unique_ptr<metrics::PrometheusEndpoint> prometheus_;
  std::unique_ptr<metrics::MetricsWriter> metrics_;
  std::unique_ptr<metrics::TensorBoardWriter> tensorboard_;
  metrics::Timer timer_;
  int64_t done_ = 0;          // the last completed step when the clock was started
  double goal_so_far_ = 0.0;  // the metric of trainer.stop_on, where it is a total
  int64_t lost_lines_ = 0;    // metrics lines that could not be written to stdout
};

}  // namespace grpo::trainer
