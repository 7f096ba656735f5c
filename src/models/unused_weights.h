#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "grpo/io/safetensors.h"
#include "grpo/models/model_config.h"

namespace grpo::models {

/// Looks at the tensors of a model's files that config.json gives no place: the model would be another one than the
/// files', and what is exported would lack them. Silent about what says nothing of its own (rotary frequencies, a head
/// equal to the tied embedding); warns about heads of other tasks (a reward or value head); throws base::IoError naming
/// the rest: further layers, biases, norms, unmerged adapters, a head of its own beside tied embeddings.
/// used: the names that were read.
void check_unused_weights(const std::filesystem::path& folder, const io::Safetensors& stored,
                          const std::set<std::string>& used, const ModelConfig& config);

}  // namespace grpo::models
