#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/models/lora.h"
#include "models/decoder_weights.h"

namespace grpo::models {

// Adapters of a decoder's linear layers. Factors have the names that peft gives them after its "base_model.model.",
// such as model.layers.0.self_attn.q_proj.lora_A.weight. The factors of one decoder layer are views of one piece of
// memory, which holds nothing else, apart from gaps between them.

/// A linear layer that may have an adapter; it belongs to a decoder layer.
struct NamedLinear {
  std::string module;      // model.layers.0.self_attn.q_proj
  std::string projection;  // q_proj
  Linear* linear = nullptr;
};
std::vector<NamedLinear> linears_of(DecoderWeights& weights);

/// Gives the linear layers that config.targets names adapters that add nothing yet. As in peft, A is uniform in +-1 /
/// sqrt(in), keyed by (seed, name), and B is zero. The factors are leaves that require grad, with the weights' dtype
/// and device. REQUIRES: validate(config) passes.
void make_adapters(DecoderWeights& weights, const LoraConfig& config, uint64_t seed);

/// Reads the adapters of a folder that peft saved and gives them to the layers; they take no gradient. Returns their
/// configuration. Throws base::IoError or base::ConfigError for a tensor that has no place in the model or the wrong
/// shape, and for a kind of adapter that is not supported.
LoraConfig read_adapters(DecoderWeights& weights, const std::filesystem::path& folder);

/// Replaces the layers' adapters by copies, which take no gradient.
void copy_adapters(DecoderWeights& weights);

void remove_adapters(DecoderWeights& weights);

/// Adds the adapters of a folder that peft saved to the weights: W += scale B A, in fp32 of the factors as they are
/// stored, and rounded once. Throws as read_adapters() does. REQUIRES: the layers have no adapters.
void merge_adapters(DecoderWeights& weights, const std::filesystem::path& folder);

/// The factors under their names, in the order of the layers.
NamedTensors name_adapters(const DecoderWeights& weights);

/// Writes adapter_config.json and adapter_model.safetensors, and copies the tokenizer's files from `base`, the folder
/// of the model to which the adapters belong.
void save_adapters(const std::filesystem::path& folder, const NamedTensors& factors, const LoraConfig& config,
                   const std::filesystem::path& base);

constexpr const char* kAdapterWeights = "adapter_model.safetensors";

/// The factors under their names in adapter_model.safetensors.
NamedTensors named_as_saved(const NamedTensors& factors);

}  // namespace grpo::models
