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

/// Acts on the signs of a run that has gone wrong (divergence.h): reports them, keeps the rollouts that show them in
/// diverged/, has the last good checkpoint kept, and ends the run where trainer.stop_on.signs asks for it.
class DivergenceGuard {
 public:
  /// What is given must outlive this object. folder: that of the run.
  DivergenceGuard(Run& run, Checkpointing& checkpoints, RunLog& log, std::filesystem::path folder);

  /// Called after a step and before its checkpoint. line: the step's metrics, which are logged before the run is ended.
  /// Throws base::Error, with the way back to the last good checkpoint, when a sign that trainer.stop_on.signs lists is
  /// reported.
  void look_at(int64_t step, const metrics::MetricsLine& line);

  /// Whether the last step shows a sign, so that the last good checkpoint has to be kept.
  bool suspects() const { return watch_.suspects(); }

  // Its state, for the state.json of checkpoints:
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
