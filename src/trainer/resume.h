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

/// The folder of a checkpoint that holds the critic of method ppo: model/, optimizer and state.json, as in the
/// checkpoint itself.
inline constexpr const char* kCriticFolder = "critic";

/// What a checkpoint's state.json holds of a run as it is after `step`; the loop adds what it keeps itself. The step's
/// metrics line is part of it, because a run that dies between the checkpoint and metrics.jsonl, or is stopped during
/// the step's evaluation (then `evaluated` is false), writes that line when it starts again.
nlohmann::json state_of(const Run& run, int64_t step, const metrics::MetricsLine& line, bool evaluated);

/// Reads the metrics line that a checkpoint's state.json holds.
metrics::MetricsLine line_from(const nlohmann::json& state);

/// The beginning of the message about a state.json in which something is missing or has another type.
std::string not_a_state(const std::filesystem::path& checkpoint);

/// Restores a run from a checkpoint, and returns the checkpoint's state.json. The content of the files that the run
/// reads must be what it was when the checkpoint was saved; in a fork, differences are added to the fork's changes
/// instead. Throws base::CheckpointError, or base::ConfigError naming what has changed.
nlohmann::json restore(Run& run, const std::filesystem::path& checkpoint, std::optional<Fork>& fork);

}  // namespace grpo::trainer
