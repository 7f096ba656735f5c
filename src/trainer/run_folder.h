#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// Whether the folder holds a run.json of this program. Only then may its files be changed.
bool is_run(const std::filesystem::path& folder);

/// Writes run.json: versions, commit, machine, and one entry for each start of the run, to which this one is added.
/// resumed_from: the step of the checkpoint that it goes on from; nullopt: it begins.
void write_run_json(const std::filesystem::path& folder, const TrainConfig& config,
                    std::optional<int64_t> resumed_from);

/// rollouts/step_<8 digits>.jsonl
std::filesystem::path rollouts_path(const std::filesystem::path& folder, int64_t step);

/// eval/step_<8 digits>_<set>.jsonl
std::filesystem::path eval_path(const std::filesystem::path& folder, int64_t step, const std::string& set);

}  // namespace grpo::trainer
