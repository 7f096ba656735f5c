#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/models/lora.h"
#include "models/decoder_weights.h"

namespace grpo::models {

// Adapters of a decoder's linear layers. Factors are named as peft names them, after its "base_model.model.":
// model.layers.0.self_attn.q_proj.lora_A.weight. Those of a layer are views of one piece of memory, which holds nothing
// else but gaps between them.

/// A linear layer of a decoder's layers, of those that may have an adapter.
struct NamedLinear {
  std::string module;      // model.layers.0.self_attn.q_proj
  std::string projection;  // q_proj
  Linear* linear = nullptr;
};
std::vector<NamedLinear> linears_of(DecoderWeights& weights);

/// Gives the targets' layers adapters that add nothing yet: A uniform in +-1 / sqrt(in), keyed by (seed, name), B zero,
/// as peft does. They are leaves of autograd that require grad, in the weights' dtype, on their device. config: valid.
void make_adapters(DecoderWeights& weights, const LoraConfig& config, uint64_t seed);

/// Gives the layers the adapters of a folder as peft saves it; they take no gradient. Returns how they were made.
/// Throws base::IoError or base::ConfigError: a tensor that has no place in the model or another shape, or a kind of
/// adapter that is not supported.
LoraConfig read_adapters(DecoderWeights& weights, const std::filesystem::path& folder);

/// Gives the layers copies of their adapters, which take no gradient.
void copy_adapters(DecoderWeights& weights);

void remove_adapters(DecoderWeights& weights);

/// Adds what the adapters add to the weights, in fp32 and rounded once, and removes them.
void merge_adapters(DecoderWeights& weights);

/// The factors in the order of the layers.
NamedTensors name_adapters(const DecoderWeights& weights);

/// Writes adapter_config.json and adapter_model.safetensors, and copies the tokenizer's files from `base`, the folder
/// of the model that the adapters belong to.
void save_adapters(const std::filesystem::path& folder, const NamedTensors& factors, const LoraConfig& config,
                   const std::filesystem::path& base);

constexpr const char* kAdapterWeights = "adapter_model.safetensors";

/// The factors under their names in that file.
NamedTensors named_as_saved(const NamedTensors& factors);

}  // namespace grpo::models
