#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "grpo/io/safetensors.h"
#include "grpo/models/model_config.h"

namespace grpo::models {

/// Looks at the tensors of a model's files that have no place in the model which config.json describes: without them
/// the model is not the one of the files, and an export would lack them. It is silent about tensors that carry nothing
/// of their own (rotary frequencies, a head equal to the tied embedding), warns about heads of other tasks (a reward or
/// value head), and throws base::IoError naming the rest: further layers, biases, norms, unmerged adapters, or a
/// separate head beside tied embeddings. used: the names that were read.
void check_unused_weights(const std::filesystem::path& folder, const io::Safetensors& stored,
                          const std::set<std::string>& used, const ModelConfig& config);

}  // namespace grpo::models
