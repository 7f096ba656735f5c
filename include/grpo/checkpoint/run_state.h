#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "grpo/models/causal_lm.h"
#include "grpo/optim/optimizer.h"

namespace grpo::checkpoint {

// What one checkpoint folder holds:
//   model/                             Hugging Face folder in the working dtype (absent when export_model is off)
//   optimizer_<rank>_of_<ranks>.safetensors  moments, and the fp32 master weights where model/ does not hold them
//                                      exactly; one file a rank when the ranks split them
//   reference.safetensors              the reference, where it is not what the run began with any more
//   state.json                         counters, data cursor, seeds, running accuracies
// MANIFEST is the store's (store.h).

/// The name of a rank's optimizer file.
std::string optimizer_file(int64_t rank, int64_t ranks);

struct SaveOptions {
  bool export_model = true;
  std::filesystem::path tokenizer_source;       // folder whose tokenizer and generation files go into model/
  bool copy = true;                             // false: training stands still until the checkpoint is written
  const models::CausalLM* reference = nullptr;  // saved where it is given
  int64_t rank = 0;                             // of `ranks` that split the optimizer's state
  int64_t ranks = 1;
};

/// Writes what it holds into a folder, as often as it is called, on any thread.
struct StateWriter {
  std::function<void(const std::filesystem::path& folder)> write;
  uint64_t bytes = 0;  // of the tensors
  void operator()(const std::filesystem::path& folder) const { write(folder); }
};

/// As run_state_writer, this rank's optimizer file alone.
StateWriter optimizer_writer(const models::CausalLM& model, const optim::Optimizer& optimizer,
                             const SaveOptions& options);

/// Takes everything a checkpoint holds and returns what writes it: with `copy` training may go on meanwhile. state:
/// everything that is not a tensor.
StateWriter run_state_writer(const models::CausalLM& model, const optim::Optimizer& optimizer, nlohmann::json state,
                             const SaveOptions& options);

/// Throws base::Error naming the first weight that is not finite: such a checkpoint would be of no use.
void check_finite(const models::CausalLM& model);

/// Restores weights and optimizer in place, bit for bit, and the reference, where there is one, if the checkpoint has
/// it. Throws base::CheckpointError when a tensor is missing or has another shape, naming it.
void read_run_state(const std::filesystem::path& folder, models::CausalLM& model, optim::Optimizer& optimizer,
                    models::CausalLM* reference = nullptr);

/// state.json of a checkpoint. Throws base::CheckpointError when it is not one of ours.
nlohmann::json read_state_json(const std::filesystem::path& folder);

/// The whole checkpoint: every file by its MANIFEST (store.h), state.json, and that a folder called step_<8 digits>
/// holds that step. Returns the step. Throws base::CheckpointError.
int64_t check_whole(const std::filesystem::path& folder);

}  // namespace grpo::checkpoint
