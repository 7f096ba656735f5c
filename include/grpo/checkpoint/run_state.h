#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "grpo/models/causal_lm.h"
#include "grpo/optim/adamw.h"

namespace grpo::checkpoint {

// What one checkpoint folder holds:
//   model/                             Hugging Face folder in the working dtype (absent when export_model is off)
//   optimizer_<rank>_of_<ranks>.safetensors  moments, and the fp32 master weights where model/ does not hold them
//                                      exactly; one file a rank when the ranks split them
//   state.json                         counters, data cursor, seeds, running accuracies
// MANIFEST is the store's (store.h).

/// The name of a rank's optimizer file.
std::string optimizer_file(int64_t rank, int64_t ranks);

struct SaveOptions {
  bool export_model = true;
  std::filesystem::path tokenizer_source;  // folder whose tokenizer and generation files go into model/
  bool copy = true;                        // false: training stands still until the checkpoint is written
  int64_t rank = 0;                        // of `ranks` that split the optimizer's state
  int64_t ranks = 1;
};

/// As run_state_writer, this rank's optimizer file alone.
std::function<void(const std::filesystem::path& folder)> optimizer_writer(const models::CausalLM& model,
                                                                          const optim::AdamW& optimizer,
                                                                          const SaveOptions& options);

/// Takes everything a checkpoint holds and returns what writes it into a folder, to be called on any thread: with
/// `copy` training may go on meanwhile. state: everything that is not a tensor.
std::function<void(const std::filesystem::path& folder)> run_state_writer(const models::CausalLM& model,
                                                                          const optim::AdamW& optimizer, nlohmann::json state,
                                                                          const SaveOptions& options);

/// Restores weights and optimizer in place, bit for bit. Throws base::CheckpointError when a tensor is missing or has
/// another shape, naming it.
void read_run_state(const std::filesystem::path& folder, models::CausalLM& model, optim::AdamW& optimizer);

/// state.json of a checkpoint.
nlohmann::json read_state_json(const std::filesystem::path& folder);

}  // namespace grpo::checkpoint
