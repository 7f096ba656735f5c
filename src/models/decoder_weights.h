#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/models/model_config.h"
#include "grpo/nn/adapter.h"
#include "grpo/nn/prepacked_linear.h"

namespace grpo::models {

struct Linear {
  at::Tensor weight;               // [out, in]
  std::optional<at::Tensor> bias;  // [out]
  nn::Adapter adapter = {};        // only of q, k, v, o, gate, up and down
};

/// One layer's weights. They are views of one piece of memory, which holds nothing else, apart from gaps between them.
struct DecoderLayer {
  Linear q, k, v, o, gate, up, down;
  Linear qkv, gate_up;        // joined matrices (and biases) whose rows are those of q, k, v and of gate, up
  at::Tensor q_norm, k_norm;  // [head_dim]; undefined without qk_norm
  at::Tensor input_norm, post_attention_norm;  // [hidden]
};

/// Elements rounded up to whole blocks of 64: each tensor in a layer's memory begins at such a block, which vectorized
/// code and cuBLAS prefer.
inline int64_t aligned(int64_t elements) { return (elements + 63) / 64 * 64; }

/// The weights of a decoder.
struct DecoderWeights {
  at::Tensor embedding;  // [vocab, hidden]
  std::vector<DecoderLayer> layers;
  at::Tensor final_norm;  // [hidden]
  at::Tensor head;        // [vocab, hidden], or [1, hidden] of a critic; undefined when tied
};

/// Throws base::IoError for a stored tensor that is not floating point, or that holds NaN or infinity. Without this
/// check the first sign of such weights would be a sampler that finds no token, with no hint why. place: of the tensor,
/// for the message.
void check_values(const at::Tensor& value, const std::string& name, const std::filesystem::path& place);

/// Throws base::IoError naming a tensor that is missing or has another shape than config.json says.
DecoderWeights load_weights(const std::filesystem::path& folder, const ModelConfig& config, at::ScalarType dtype,
                            at::Device device);
DecoderWeights init_weights(const ModelConfig& config, uint64_t seed, at::ScalarType dtype, at::Device device);

/// A linear layer as the sampler reads it, with the adapters of the layers that are joined in it.
struct SamplingLinear {
  struct Part {
    nn::Adapter adapter;
    int64_t begin = 0;  // the first column of this part in the result
  };
  nn::PrepackedWeight weight;      // [out, in], plain or prepacked
  std::optional<at::Tensor> bias;  // [out]
  std::vector<Part> adapters = {};
};

/// A layer as the sampler reads it. Matrices that read the same input are joined to one.
struct SamplingLayer {
  SamplingLinear qkv, o, gate_up, down;
  at::Tensor q_norm, k_norm, input_norm, post_attention_norm;
};

struct SamplingWeights {
  std::vector<SamplingLayer> layers;
  nn::PrepackedWeight head;  // [vocab, hidden], even if tied
};

/// With `prepack` the matrices are copies in the layout of nn::prepack_linear, if the dtype has one; otherwise they
/// are the weights themselves. In fp32 copies the adapters are merged, W + scale b a. In all other cases adapters stay
/// separate as in training, so that both round alike: when a sum is rounded to bf16, a change of a weight by less than
/// half of its last digit would vanish.
SamplingWeights sampling_weights(const DecoderWeights& weights, bool prepack);

/// Every weight under its checkpoint name, in checkpoint order.
NamedTensors name_weights(const DecoderWeights& weights, const ModelConfig& config);

/// The layer of each parameter, from its name; -1 outside of the layers.
std::vector<int64_t> layers_of(const NamedTensors& parameters);

/// The weights of a model of this configuration, in the order in which a pass reads them.
struct WeightSize {
  std::string name;
  double elements = 0.0;
  int64_t layer = -1;
  std::vector<int64_t> shape = {};
};
std::vector<WeightSize> weight_sizes(const ModelConfig& config);

}  // namespace grpo::models
