#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "grpo/metrics/metrics_file.h"
#include "trainer/fork.h"
#include "trainer/run.h"

namespace grpo::trainer {

/// The metrics line in a checkpoint's state.json.
metrics::MetricsLine line_from(const nlohmann::json& state);

/// Brings a run to where its checkpoint was, and returns its state.json. What the run's files hold must be what it was,
/// or, in a fork, is added to its changes. Throws base::CheckpointError, or base::ConfigError naming what changed.
nlohmann::json restore(Run& run, const std::filesystem::path& checkpoint, std::optional<Fork>& fork);

}  // namespace grpo::trainer
