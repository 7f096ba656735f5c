#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/metrics/metrics_file.h"
#include "grpo/metrics/tensorboard.h"
#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// The step's part of a line of metrics.jsonl, with the same keys in every step. dead_predicted: the expected number of
/// dead groups. rollouts_total: rollouts of the run up to this step and with it.
metrics::MetricsLine metrics_of(const StepResult& result, double dead_predicted, int64_t rollouts_total);

/// Tokens that were trained in a second of the update, also of its part that ran beside the rollout.
double update_tokens_per_s(const StepStats& stats);

/// One line for the console. steps: of the whole run. left_s: estimated seconds to the end of the run.
std::string summary_of(const StepResult& result, int64_t step, int64_t steps, double step_s, double left_s);

/// A prompt's gold answer as files show it: a text, or a list of texts where several are right.
nlohmann::json gold_json(const Prompt& prompt);

/// Writes histograms of completion lengths and rewards, and the first two completions of the first group as text.
void add_rollouts(metrics::TensorBoardWriter& writer, int64_t step, double time, const RolloutBatch& batch);

/// Writes rollouts/step_*.jsonl: the first groups in prompt order, as many whole ones as `max_rollouts` allows.
/// reward_names: the names of the reward terms, in the order of Score::values.
void write_rollouts(const std::filesystem::path& path, int64_t step, const RolloutBatch& batch,
                    const std::vector<std::string>& reward_names, int64_t max_rollouts);

}  // namespace grpo::trainer
