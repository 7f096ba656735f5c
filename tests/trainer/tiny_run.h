#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
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

/// That metrics, rollouts, weights (or adapters) and optimizer state of two runs are the same, bit for bit, at their
/// last step.
void expect_equal_runs(const std::filesystem::path& a, const std::filesystem::path& b,
                       const std::string& last_checkpoint = "step_00000006");

/// Every file under `folder` with its bytes, by relative name.
std::map<std::string, std::string> files_below(const std::filesystem::path& folder);

/// Runs of tiny_config by name, each in a folder of its own, whose files hold every rollout.
class TinyRuns : public ::testing::Test {
 protected:
  void SetUp() override;

  TrainConfig config(const std::string& name) const;
  std::filesystem::path folder(const std::string& name) const { return dir_.path() / name / "tiny"; }
  void run(const TrainConfig& config, const std::string& resume = "never") const;
  /// A metric in all lines that have it.
  std::vector<double> measures(const std::string& run, const std::string& metric) const;
  /// Of a step below 10.
  std::vector<nlohmann::json> rollouts(const std::string& run, int step) const;

  testing::TempDir dir_;
};

}  // namespace grpo::trainer
