#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "grpo/io/safetensors.h"
#include "grpo/models/model_config.h"

namespace grpo::models {

/// Checks the tensors of a model's files that have no place in the model which config.json describes. Without them the
/// model may differ from the one in the files, and an export would lack them. Tensors that carry nothing of their own
/// (rotary frequencies, a head equal to the tied embedding) are ignored. Heads of other tasks (a reward or value head)
/// cause a warning. All others throw base::IoError: further layers, biases, norms, unmerged adapters, or a separate
/// head beside tied embeddings. `used` are the names that were read.
void check_unused_weights(const std::filesystem::path& folder, const io::Safetensors& stored,
                          const std::set<std::string>& used, const ModelConfig& config);

}  // namespace grpo::models
