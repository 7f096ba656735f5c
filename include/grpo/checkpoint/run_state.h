#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "grpo/models/causal_lm.h"
#include "grpo/optim/optimizer.h"

namespace grpo::checkpoint {

// What a checkpoint folder holds:
//   model/                             Hugging Face folder in the working dtype (absent when export_model is off)
//   optimizer_<rank>_of_<ranks>.safetensors  moments, and the fp32 master weights unless model/ holds them exactly;
//                                      one file per rank when the ranks divide the optimizer's state
//   reference.safetensors              the reference model, if it has changed since the run began
//   state.json                         counters, data cursor, seeds, running accuracies
// The store adds the file MANIFEST (store.h).

/// The name of a rank's optimizer file.
std::string optimizer_file(int64_t rank, int64_t ranks);

struct SaveOptions {
  bool export_model = true;
  std::filesystem::path tokenizer_source;       // folder whose tokenizer and generation files go into model/
  bool copy = true;                             // false: training has to wait until the checkpoint is written
  const models::CausalLM* reference = nullptr;  // saved if given
  int64_t rank = 0;                             // this rank, of `ranks` that divide the optimizer's state
  int64_t ranks = 1;
};

/// Writes what optimizer_writer() or run_state_writer() has taken into a folder. May be called
/// several times and on any thread.
struct StateWriter {
  std::function<void(const std::filesystem::path& folder)> write;
  uint64_t bytes = 0;  // size of the tensors
  void operator()(const std::filesystem::path& folder) const { write(folder); }
};

/// Like run_state_writer, but only for this rank's optimizer file.
StateWriter optimizer_writer(const models::CausalLM& model, const optim::Optimizer& optimizer,
                             const SaveOptions& options);

/// Takes everything that a checkpoint holds and returns what writes it. With `copy` training may go on before it is
/// written. `state` is everything that is not a tensor.
StateWriter run_state_writer(const models::CausalLM& model, const optim::Optimizer& optimizer, nlohmann::json state,
                             const SaveOptions& options);

/// Throws base::Error naming the first weight that is not finite, since a checkpoint of such weights would be useless.
void check_finite(const models::CausalLM& model);

/// Restores weights and optimizer in place, bit for bit, and `reference` if it is given and the checkpoint has one.
/// Throws base::CheckpointError naming a tensor that is missing or has another shape.
void read_run_state(const std::filesystem::path& folder, models::CausalLM& model, optim::Optimizer& optimizer,
                    models::CausalLM* reference = nullptr);

/// The state.json of a checkpoint. Throws base::CheckpointError when it is missing or was not written by us.
nlohmann::json read_state_json(const std::filesystem::path& folder);

/// Checks a whole checkpoint: every file against its MANIFEST (store.h), state.json, and that a folder called step_<8
/// digits> holds that step. Returns the step. Throws base::CheckpointError.
int64_t check_whole(const std::filesystem::path& folder);

}  // namespace grpo::checkpoint
