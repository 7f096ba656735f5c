#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "grpo/checkpoint/store.h"
#include "grpo/dist/communicator.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// Where a run starts from.
struct Start {
  std::filesystem::path folder;                     // runs/<name>
  std::optional<std::filesystem::path> checkpoint;  // none: fresh start
};

/// `--resume`: auto, never, or a checkpoint folder (design: "Resume").
/// auto: the newest complete checkpoint of the run's folder, or a fresh start. never: an existing folder is renamed
/// <name>.1, .2, ... A folder: that checkpoint.
/// Cuts metrics, rollouts and events back to the checkpoint's step and removes leftovers. Throws base::CheckpointError
/// or base::ConfigError.
Start prepare_run_folder(const RunConfig& run, const std::string& resume);

/// The same for several ranks: rank 0 does it, all get its answer, and each checks that its run.output is that folder.
/// Ranks other than 0 log into <folder>/logs/rank_<5 digits>.log from then on.
Start prepare_run_folder(const RunConfig& run, const std::string& resume, dist::Communicator& communicator);

/// The step in a checkpoint's state.json.
int64_t step_of_checkpoint(const std::filesystem::path& checkpoint);

/// run.json: versions, commit, machine, and one entry for each start of the run.
void write_run_json(const std::filesystem::path& folder, const TrainConfig& config, std::optional<int64_t> resumed_from);

/// rollouts/step_<8 digits>.jsonl
std::filesystem::path rollouts_path(const std::filesystem::path& folder, int64_t step);

/// eval/step_<8 digits>_<set>.jsonl
std::filesystem::path eval_path(const std::filesystem::path& folder, int64_t step, const std::string& set);

}  // namespace grpo::trainer
