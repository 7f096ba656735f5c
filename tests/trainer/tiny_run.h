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

/// The configuration of a run of the quickstart model that takes a second, with few prompts and exact sampling.
TrainConfig tiny_config(const std::filesystem::path& output);

/// The lines of metrics.jsonl without times, speeds and memory. The rest must be equal between two equal runs.
std::vector<nlohmann::json> comparable_metrics(const std::filesystem::path& run);

/// Expects that metrics, rollouts, weights (or adapters) and optimizer state of two runs are the same, bit for bit, at
/// their last step.
void expect_equal_runs(const std::filesystem::path& a, const std::filesystem::path& b,
                       const std::string& last_checkpoint = "step_00000006");

/// Every file under `folder` with its bytes, by relative name.
std::map<std::string, std::string> files_below(const std::filesystem::path& folder);

/// Makes runs of tiny_config() by name, each in a folder of its own. Their files hold every rollout.
class TinyRuns : public ::testing::Test {
 protected:
  void SetUp() override;

  TrainConfig config(const std::string& name) const;
  std::filesystem::path folder(const std::string& name) const { return dir_.path() / name / "tiny"; }
  void run(const TrainConfig& config, const std::string& resume = "never") const;
  /// The values of a metric, from all lines that have it.
  std::vector<double> measures(const std::string& run, const std::string& metric) const;
  /// The rollouts of a step, whose number is below 10.
  std::vector<nlohmann::json> rollouts(const std::string& run, int step) const;

  testing::TempDir dir_;
};

}  // namespace grpo::trainer
