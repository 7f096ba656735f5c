#include "models/decoder_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <functional>
#include <set>

#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/io/safetensors.h"
#include "grpo/models/weights.h"
#include "grpo/nn/prepacked_linear.h"
#include "models/unused_weights.h"

namespace grpo::models {
namespace {

constexpr const char* kValueHead = "score.weight";

using Visit = std::function<void(const std::string& name, at::Tensor& tensor, const std::vector<int64_t>& shape)>;

// visit_weights() and its parts are the only map between weights and checkpoint names. They visit every tensor that the
// model has, with its name and shape.
void visit_linear(const Visit& visit, const std::string& name, Linear& linear, int64_t out, int64_t in, bool bias) {
  visit(name + ".weight", linear.weight, {out, in});
  if (!bias) return;
  if (!linear.bias) linear.bias.emplace();
  visit(name + ".bias", *linear.bias, {out});
}

void visit_layer(const Visit& visit, const std::string& prefix, DecoderLayer& layer, const ModelConfig& c) {
  const std::string attention = prefix + "self_attn.";
  const int64_t q = c.num_heads * c.head_dim;
  const int64_t kv = c.num_kv_heads * c.head_dim;
  visit_linear(visit, attention + "q_proj", layer.q, q, c.hidden_size, c.qkv_bias);
  visit_linear(visit, attention + "k_proj", layer.k, kv, c.hidden_size, c.qkv_bias);
  visit_linear(visit, attention + "v_proj", layer.v, kv, c.hidden_size, c.qkv_bias);
  visit_linear(visit, attention + "o_proj", layer.o, c.hidden_size, q, c.output_bias);
  if (c.qk_norm) {
    visit(attention + "q_norm.weight", layer.q_norm, {c.head_dim});
    visit(attention + "k_norm.weight", layer.k_norm, {c.head_dim});
  }
  visit_linear(visit, prefix + "mlp.gate_proj", layer.gate, c.intermediate_size, c.hidden_size, c.mlp_bias);
  visit_linear(visit, prefix + "mlp.up_proj", layer.up, c.intermediate_size, c.hidden_size, c.mlp_bias);
  visit_linear(visit, prefix + "mlp.down_proj", layer.down, c.hidden_size, c.intermediate_size, c.mlp_bias);
  visit(prefix + "input_layernorm.weight", layer.input_norm, {c.hidden_size});
  visit(prefix + "post_attention_layernorm.weight", layer.post_attention_norm, {c.hidden_size});
}

void visit_weights(const Visit& visit, DecoderWeights& weights, const ModelConfig& c) {
  visit("model.embed_tokens.weight", weights.embedding, {c.vocab_size, c.hidden_size});
  weights.layers.resize(static_cast<size_t>(c.num_layers));
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    visit_layer(visit, "model.layers." + std::to_string(i) + ".", weights.layers[i], c);
  }
  visit("model.norm.weight", weights.final_norm, {c.hidden_size});
  if (c.value_head) return visit(kValueHead, weights.head, {1, c.hidden_size});
  if (!c.tied_embeddings) visit("lm_head.weight", weights.head, {c.vocab_size, c.hidden_size});
}

at::Tensor leaf(const at::Tensor& value, at::ScalarType dtype, at::Device device) {
  // The value is copied even if dtype and device agree, because the mapped file must not be written to.
  return value.to(at::TensorOptions(device).dtype(dtype), false, /*copy=*/true).set_requires_grad(true);
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

at::Tensor initial_value(const std::string& name, const std::vector<int64_t>& shape, const ModelConfig& config,
                         uint64_t seed) {
  if (name.find("norm.weight") != std::string::npos) return at::ones(shape, at::kFloat);
  if (ends_with(name, ".bias") || name == kValueHead) return at::zeros(shape, at::kFloat);
  if (config.initializer_range == 0.0) return at::zeros(shape, at::kFloat);
  auto tensor = at::empty(shape, at::kFloat);
  const base::RandomKey key{seed, base::stream_id(name)};
  float* values = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(config.initializer_range * base::normal(key, static_cast<uint64_t>(i), 0));
  }
  return tensor;
}

int64_t layer_of(const std::string& name) {
  const std::string prefix = "model.layers.";
  return name.rfind(prefix, 0) == 0 ? std::stoll(name.substr(prefix.size())) : -1;
}

// Tensors that lie one behind the other, and the joined matrix whose rows they are, if the layer has one.
struct Neighbours {
  std::vector<at::Tensor*> parts;
  at::Tensor* whole = nullptr;
};

at::Tensor* bias_of(Linear& linear) { return linear.bias ? &*linear.bias : nullptr; }

std::vector<Neighbours> neighbours_of(DecoderLayer& layer) {
  std::vector<Neighbours> all;
  const auto add = [&all](std::vector<at::Tensor*> parts, at::Tensor* whole = nullptr) {
    if (parts[0] != nullptr && parts[0]->defined()) all.push_back({std::move(parts), whole});
  };
  if (layer.q.bias) layer.qkv.bias.emplace();
  if (layer.gate.bias) layer.gate_up.bias.emplace();
  add({&layer.q.weight, &layer.k.weight, &layer.v.weight}, &layer.qkv.weight);
  add({bias_of(layer.q), bias_of(layer.k), bias_of(layer.v)}, bias_of(layer.qkv));
  add({&layer.o.weight});
  add({bias_of(layer.o)});
  add({&layer.gate.weight, &layer.up.weight}, &layer.gate_up.weight);
  add({bias_of(layer.gate), bias_of(layer.up)}, bias_of(layer.gate_up));
  add({&layer.down.weight});
  add({bias_of(layer.down)});
  for (at::Tensor* norm : {&layer.q_norm, &layer.k_norm, &layer.input_norm, &layer.post_attention_norm}) add({norm});
  return all;
}

int64_t elements_of(const Neighbours& neighbours) {
  int64_t elements = 0;
  for (const at::Tensor* part : neighbours.parts) elements += part->numel();
  return elements;
}

// Moves a layer's weights into one piece of memory. Afterwards they are leaves again.
void join_weights(DecoderLayer& layer) {
  const auto all = neighbours_of(layer);
  int64_t size = 0;
  for (const Neighbours& neighbours : all) size += aligned(elements_of(neighbours));
  const auto memory = at::zeros({size}, layer.o.weight.options().requires_grad(false));
  int64_t begin = 0;
  for (const Neighbours& neighbours : all) {
    auto shape = neighbours.parts[0]->sizes().vec();
    shape[0] = -1;
    if (neighbours.whole != nullptr) *neighbours.whole = memory.narrow(0, begin, elements_of(neighbours)).view(shape);
    int64_t at = begin;
    for (at::Tensor* part : neighbours.parts) {
      const auto place = memory.narrow(0, at, part->numel()).view(part->sizes());
      place.copy_(*part);
      at += part->numel();
      *part = place.set_requires_grad(true);
    }
    begin += aligned(elements_of(neighbours));
  }
}

void join_layers(DecoderWeights& weights) {
  const at::NoGradGuard no_grad;
  for (DecoderLayer& layer : weights.layers) join_weights(layer);
}

// Looks at sums, which need no mask of the tensor's size. It sums pieces, because on the CPU LibTorch first converts
// everything that it sums to fp32.
bool is_finite(const at::Tensor& value) {
  constexpr int64_t kPiece = 1 << 20;
  for (const at::Tensor& piece : value.reshape({-1}).split(kPiece)) {
    if (!std::isfinite(piece.sum(at::kFloat).item<float>())) return false;
  }
  return true;
}

// To be called before memory is allocated for the layers, because config.json may claim any number of them.
void check_layers(const io::Safetensors& stored, const ModelConfig& config, const std::filesystem::path& folder) {
  if (config.num_layers <= static_cast<int64_t>(stored.tensors().size())) return;
  throw base::IoError(base::concat(folder.string(), ": config.json says num_hidden_layers ", config.num_layers,
                                   ", but the weights are only ", stored.tensors().size(), " tensors"));
}

}  // namespace

void check_values(const at::Tensor& value, const std::string& name, const std::filesystem::path& place) {
  if (!at::isFloatingType(value.scalar_type())) {
    throw base::IoError(base::concat(place.string(), ": ", name, " is stored as ", value.scalar_type(),
                                     ", expected F32, BF16, F16 or F64; quantised models are not read"));
  }
  if (!is_finite(value)) {
    throw base::IoError(
        base::concat(place.string(), ": ", name, " holds values that are not finite (NaN or infinity)"));
  }
}

DecoderWeights load_weights(const std::filesystem::path& folder, const ModelConfig& config, at::ScalarType dtype,
                            at::Device device) {
  const auto stored = io::Safetensors::open(folder);
  check_layers(stored, config, folder);
  DecoderWeights weights;
  std::set<std::string> used;
  visit_weights(
      [&](const std::string& name, at::Tensor& tensor, const std::vector<int64_t>& shape) {
        used.insert(name);
        if (name == kValueHead && !stored.contains(name)) {  // a critic begins with a language model's weights
          used.insert("lm_head.weight");
          tensor = leaf(initial_value(name, shape, config, 0), dtype, device);
          return;
        }
        const auto value = tensor_view(stored.at(name));
        if (value.sizes() != at::IntArrayRef(shape)) {
          throw base::IoError(base::concat(folder.string(), ": ", name, " has shape ", value.sizes(),
                                           ", config.json says ", at::IntArrayRef(shape)));
        }
        check_values(value, name, folder);
        tensor = leaf(value, dtype, device);
      },
      weights, config);
  check_unused_weights(folder, stored, used, config);
  join_layers(weights);
  return weights;
}

DecoderWeights init_weights(const ModelConfig& config, uint64_t seed, at::ScalarType dtype, at::Device device) {
  DecoderWeights weights;
  visit_weights(
      [&](const std::string& name, at::Tensor& tensor, const std::vector<int64_t>& shape) {
        tensor = leaf(initial_value(name, shape, config, seed), dtype, device);
      },
      weights, config);
  join_layers(weights);
  return weights;
}

namespace {

std::vector<SamplingLinear::Part> adapters_of(const std::vector<const Linear*>& parts) {
  std::vector<SamplingLinear::Part> adapters;
  int64_t begin = 0;
  for (const Linear* part : parts) {
    if (part->adapter.is_there()) adapters.push_back({part->adapter, begin});
    begin += part->weight.size(0);
  }
  return adapters;
}

// A copy of the weight with its adapters merged.
at::Tensor merged(const at::Tensor& weight, const std::vector<SamplingLinear::Part>& adapters) {
  const auto sum = weight.clone();
  for (const auto& [adapter, begin] : adapters)
    sum.narrow(0, begin, adapter.b.size(0)).addmm_(adapter.b, adapter.a, 1, adapter.scale);
  return sum;
}

// `linear` has the rows of all `parts`, one behind the other.
SamplingLinear sampling_linear(const Linear& linear, const std::vector<const Linear*>& parts, bool prepack) {
  auto adapters = adapters_of(parts);
  if (!prepack) return {{linear.weight, {}}, linear.bias, adapters};
  const bool merges = !adapters.empty() && linear.weight.scalar_type() == at::kFloat && nn::can_prepack(linear.weight);
  if (merges) return {nn::prepack_linear(merged(linear.weight, adapters)), linear.bias};
  return {nn::prepack_linear(linear.weight), linear.bias, adapters};
}

}  // namespace

SamplingWeights sampling_weights(const DecoderWeights& weights, bool prepack) {
  const at::NoGradGuard no_grad;
  SamplingWeights sampling;
  for (const auto& layer : weights.layers) {
    GRPO_CHECK(layer.qkv.weight.is_alias_of(layer.v.weight) && layer.gate_up.weight.is_alias_of(layer.up.weight),
               "a projection was given other memory than the matrix it is part of");
    sampling.layers.push_back({.qkv = sampling_linear(layer.qkv, {&layer.q, &layer.k, &layer.v}, prepack),
                               .o = sampling_linear(layer.o, {&layer.o}, prepack),
                               .gate_up = sampling_linear(layer.gate_up, {&layer.gate, &layer.up}, prepack),
                               .down = sampling_linear(layer.down, {&layer.down}, prepack),
                               .q_norm = layer.q_norm,
                               .k_norm = layer.k_norm,
                               .input_norm = layer.input_norm,
                               .post_attention_norm = layer.post_attention_norm});
  }
  const at::Tensor& head = weights.head.defined() ? weights.head : weights.embedding;
  sampling.head = prepack ? nn::prepack_linear(head) : nn::PrepackedWeight{head, {}};
  return sampling;
}

std::vector<int64_t> layers_of(const NamedTensors& parameters) {
  std::vector<int64_t> layers;
  for (const auto& [name, tensor] : parameters) layers.push_back(layer_of(name));
  return layers;
}

std::vector<WeightSize> weight_sizes(const ModelConfig& config) {
  std::vector<WeightSize> sizes;
  DecoderWeights none;
  visit_weights(
      [&](const std::string& name, at::Tensor&, const std::vector<int64_t>& shape) {
        double elements = 1.0;
        for (const int64_t size : shape) elements *= static_cast<double>(size);
        sizes.push_back({name, elements, layer_of(name), shape});
      },
      none, config);
  return sizes;
}

NamedTensors name_weights(const DecoderWeights& weights, const ModelConfig& config) {
  NamedTensors named;
  DecoderWeights handles = weights;
  visit_weights([&](const std::string& name, at::Tensor& tensor,
                    const std::vector<int64_t>&) { named.emplace_back(name, tensor); },
                handles, config);
  return named;
}

}  // namespace grpo::models
