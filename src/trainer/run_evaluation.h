#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "grpo/metrics/metrics_file.h"
#include "trainer/run.h"

namespace grpo::trainer {

/// Evaluates the weights on the run's sets (eval.*), adds the figures to `line` and writes answers into eval/ of the
/// run's folder. Returns false, with `line` unchanged, when should_stop ended it on any rank. A collective.
bool evaluate_run(const Run& run, int64_t step, const std::filesystem::path& folder,
                  const std::function<bool()>& should_stop, metrics::MetricsLine& line);

}  // namespace grpo::trainer
