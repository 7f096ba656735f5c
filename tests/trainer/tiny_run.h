#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grpo/trainer/train.h"
#include "support/golden.h"

namespace grpo::trainer {

/// A training run of the quickstart model that takes a second: few prompts, exact sampling.
TrainConfig tiny_config(const std::filesystem::path& output);

/// metrics.jsonl without times, speeds and memory: what must be equal between two runs.
std::vector<nlohmann::json> comparable_metrics(const std::filesystem::path& run);

/// That metrics, rollouts, weights and optimizer state of two runs are the same, bit for bit, at their last step.
void expect_equal_runs(const std::filesystem::path& a, const std::filesystem::path& b,
                       const std::string& last_checkpoint = "step_00000006");

/// Every file under `folder` with its bytes, by relative name.
std::map<std::string, std::string> files_below(const std::filesystem::path& folder);

}  // namespace grpo::trainer
