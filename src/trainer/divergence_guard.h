#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "grpo/metrics/metrics_file.h"
#include "trainer/checkpointing.h"
#include "trainer/divergence.h"
#include "trainer/run.h"
#include "trainer/run_log.h"

namespace grpo::trainer {

/// Acts on the signs of a run that has gone wrong: names them, keeps the rollouts that show them in diverged/, has the
/// last good checkpoint kept, and ends the run where trainer.stop_on asks for it.
class DivergenceGuard {
 public:
  /// All that is given outlives it. folder: the run's.
  DivergenceGuard(Run& run, Checkpointing& checkpoints, RunLog& log, std::filesystem::path folder);

  /// After a step and before its checkpoint. line: the step's, written before the run is ended. Throws base::Error,
  /// with the way back to the last good checkpoint, when a sign that trainer.stop_on lists has shown.
  void look_at(int64_t step, const metrics::MetricsLine& line);

  /// The last step shows a sign, or one that was named still lasts: the last good checkpoint must stay.
  bool suspects() const { return watch_.suspects(); }

  // What a checkpoint's state.json holds of it:
  nlohmann::json to_json() const;
  void restore(const nlohmann::json& state);

 private:
  void tell_of(const std::vector<Finding>& findings, int64_t step, const metrics::MetricsLine& line);

  Run& run_;
  Checkpointing& checkpoints_;
  RunLog& log_;
  const std::filesystem::path folder_;
  DivergenceWatch watch_;
};

}  // namespace grpo::trainer
