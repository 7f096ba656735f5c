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

/// What a run tells of itself: metrics.jsonl, TensorBoard, Prometheus, rollout files and the console. Where it does not
/// write (ranks other than 0) all calls do nothing.
class RunLog {
 public:
  /// Takes the console and Prometheus' address, so that one that is in use costs no loading of a model.
  RunLog(const TrainConfig& config, bool writes);

  /// Once the run's folder is there.
  void open(const std::filesystem::path& folder, int64_t total_steps);

  /// From now on the run's time is counted.
  void start_clock(int64_t done);
  double seconds() const { return timer_.seconds(); }

  void begin_step(int64_t step);
  void progress(const StepProgress& progress);
  void doing(const std::string& what);  // beside steps; empty: none of it

  /// A step's samples and warnings, then its line, then how it went.
  void samples(Method& method, int64_t step);
  void line(int64_t step, const metrics::MetricsLine& line);
  void result(const Method& method, int64_t step, double step_s);

  /// Throws base::IoError when lines were lost that a reader of stdout waits for.
  void check_complete() const;

 private:
  const TrainConfig& config_;
  const bool writes_;
  metrics::Console console_;
  metrics::Status status_;
  std::filesystem::path folder_;
  std::unique_ptr<metrics::PrometheusEndpoint> prometheus_;
  std::unique_ptr<metrics::MetricsWriter> metrics_;
  std::unique_ptr<metrics::TensorBoardWriter> tensorboard_;
  metrics::Timer timer_;
  int64_t done_ = 0;        // steps when the clock was started
  int64_t lost_lines_ = 0;  // of the JSON console
};

}  // namespace grpo::trainer
