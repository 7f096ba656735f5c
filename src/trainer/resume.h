#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "grpo/metrics/metrics_file.h"
#include "trainer/fork.h"
#include "trainer/run.h"

namespace grpo::trainer {

/// Where a checkpoint has the critic of method ppo: model/, optimizer and state.json, as the checkpoint itself.
inline constexpr const char* kCriticFolder = "critic";

/// What a checkpoint's state.json holds of a run as it is after `step`. The step's metrics line is part of it: a run
/// that dies between the checkpoint and metrics.jsonl, or during the step's evaluation (then `evaluated` is false),
/// writes it when it starts again.
nlohmann::json state_of(const Run& run, int64_t step, const metrics::MetricsLine& line, bool evaluated);

/// Reads the metrics line that a checkpoint's state.json holds.
metrics::MetricsLine line_from(const nlohmann::json& state);

/// Begins the message about a state.json in which something is missing or of another type.
std::string not_a_state(const std::filesystem::path& checkpoint);

/// Brings a run to where its checkpoint was, and returns the checkpoint's state.json. What the run's files hold must be
/// what it was; in a fork the difference is added to the fork's changes. Throws base::CheckpointError, or
/// base::ConfigError naming what changed.
nlohmann::json restore(Run& run, const std::filesystem::path& checkpoint, std::optional<Fork>& fork);

}  // namespace grpo::trainer
