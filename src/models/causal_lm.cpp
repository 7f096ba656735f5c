#include "grpo/models/causal_lm.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/kernels/rowwise.h"
#include "grpo/models/freeze.h"
#include "grpo/models/weights.h"
#include "grpo/nn/attention.h"
#include "grpo/nn/layers.h"
#include "grpo/nn/prepacked_linear.h"
#include "grpo/nn/recompute.h"
#include "models/adapters.h"
#include "models/decoder_weights.h"
#include "models/model_folder.h"
#include "models/rope.h"

namespace grpo::models {
namespace fs = std::filesystem;

struct CausalLM::State {
  ModelConfig config;
  DecoderWeights weights;
  NamedTensors parameters;
  std::vector<int64_t> parameter_layers;
  LoraConfig lora;               // how the adapters were made; rank 0: there are none
  NamedTensors adapters;         // the adapters' factors
  nlohmann::json source_config;  // config.json as it was read; null for a model made by init()
  RopeFrequencies frequencies;
  TrainingOptions training;
  std::shared_ptr<const LayerHooks> hooks;  // may be null

  std::mutex rope_mutex;
  std::pair<at::Tensor, at::Tensor> rope;  // tables of cos and sin, extended on demand

  std::mutex sampling_mutex;
  std::shared_ptr<const SamplingWeights> sampling, exact_sampling;  // null until made from `weights`

  // Reads a folder's model, which may have adapters beside it.
  void load(const fs::path& folder, at::ScalarType dtype, at::Device device, const ConfigOverrides& overrides) {
    config = read_model_config(folder, overrides);
    source_config = read_config_json(folder, overrides);
    weights = load_weights(folder, config, dtype, device);  // first, since it finds out whether sizes can be true
    frequencies = rope_frequencies(config.rope, config.head_dim);
    parameters = name_weights(weights, config);
    parameter_layers = layers_of(parameters);
  }

  // The exact kernels need plain matrices, since they fix the order of summation themselves.
  std::shared_ptr<const SamplingWeights> weights_to_sample(bool exact) {
    const std::lock_guard lock(sampling_mutex);
    auto& made = exact ? exact_sampling : sampling;
    if (!made) made = std::make_shared<const SamplingWeights>(sampling_weights(weights, !exact));
    return made;
  }

  std::pair<at::Tensor, at::Tensor> rope_for(int64_t positions) {
    const std::lock_guard lock(rope_mutex);
    const int64_t have = rope.first.defined() ? rope.first.size(0) : 0;
    if (positions > have) {
      rope = rope_tables(frequencies, std::max({positions, 2 * have, int64_t{256}}), weights.embedding.device());
    }
    return rope;
  }
};

namespace {

// T: packed tokens, H: heads, D: head_dim.

// The differentiable forward pass of one batch, with what all layers share.
struct TrainingPass {
  const ModelConfig& config;
  nn::AttentionPlan plan;
  nn::Rope rope;
  Recompute recompute;
  at::Tensor dropout_keys;

  nn::LinearWeights weights_of(const Linear& linear) const {
    nn::LinearWeights weights{linear.weight, linear.bias.value_or(at::Tensor()), linear.adapter};
    weights.adapter.dropout.token_keys = dropout_keys;
    return weights;
  }

  // Queries, keys and values: [T, heads, head_dim]. With qk_norm, heads are normed between projection and rotation.
  std::array<at::Tensor, 3> heads_of(const DecoderLayer& layer, const at::Tensor& x) const {
    const nn::NormWeights norm{layer.input_norm, config.norm_eps};
    const std::array weights = {weights_of(layer.q), weights_of(layer.k), weights_of(layer.v)};
    if (!config.qk_norm) return nn::rotated_projections(x, norm, weights, rope);
    const auto [q, k, v] = nn::normed_projections(x, norm, weights);
    const auto heads = [&](const at::Tensor& rows) { return rows.unflatten(1, {-1, config.head_dim}); };
    const auto rotated = [&](const at::Tensor& rows, const at::Tensor& head_norm) {
      return nn::rope(nn::rms_norm(heads(rows), {head_norm, config.norm_eps}), rope.positions, rope.cos, rope.sin);
    };
    return {rotated(q, layer.q_norm), rotated(k, layer.k_norm), heads(v)};
  }

  at::Tensor attention(const DecoderLayer& layer, const at::Tensor& x) const {
    const auto [q, k, v] = heads_of(layer, x);
    const auto out = nn::packed_attention(q, k, v, plan, 1.0 / std::sqrt(static_cast<double>(config.head_dim)));
    return nn::linear(out.reshape({x.size(0), config.num_heads * config.head_dim}), weights_of(layer.o));
  }

  at::Tensor run(const DecoderLayer& layer, const at::Tensor& x) const {
    const auto mid = x + attention(layer, x);
    return mid + nn::gated_mlp(mid, {layer.post_attention_norm, config.norm_eps}, weights_of(layer.gate),
                               weights_of(layer.up), weights_of(layer.down), recompute != Recompute::kSelective);
  }
};

// Calls the hooks around the layers of one pass. Between two layers one hook of the backward serves both: the tensor
// between them gets its gradient when the later layer is done, and so are the gradients of that layer's weights.
class AroundLayers {
 public:
  AroundLayers(std::shared_ptr<const LayerHooks> hooks, size_t layers)
      : hooks_(std::move(hooks)), layers_(static_cast<int64_t>(layers)) {}

  /// x: the tensor that layer `next` reads and that the layer before it wrote.
  void pass(int64_t next, const at::Tensor& x) const {
    if (!hooks_) return;
    if (next > 0) hooks_->after_forward(next - 1);
    if (next < layers_) hooks_->before_forward(next, x);
    if (!x.requires_grad()) return;
    x.register_hook([hooks = hooks_, layers = layers_, next](const at::Tensor&) {
      if (next < layers) hooks->after_backward(next);
      if (next > 0) hooks->before_backward(next - 1);
    });
  }

 private:
  std::shared_ptr<const LayerHooks> hooks_;
  int64_t layers_;
};

// The sampler's forward pass over the paged cache. A layer's result is not added to the residual stream at once, but
// where the next norm reads the stream: one kernel does both.
struct SamplingPass {
  const ModelConfig& config;
  const PagedBatch& batch;
  bool exact;
  const SamplingPlaces& places;
  at::Tensor stream;  // [T, hidden]
  at::Tensor added;   // [T, hidden], not yet added to stream; undefined at first

  at::Tensor apply(const SamplingLinear& linear, const at::Tensor& x, const at::Tensor& place) const {
    const auto result = exact ? kernels::exact_linear(x, linear.weight.weight, linear.bias)
                              : nn::prepacked_linear(x, linear.weight, linear.bias, place);
    for (const auto& [adapter, begin] : linear.adapters) add(adapter, x, result.narrow(1, begin, adapter.b.size(0)));
    return result;
  }

  void add(const nn::Adapter& adapter, const at::Tensor& x, const at::Tensor& result) const {
    if (!exact) return nn::add_low_rank(result, x, adapter);
    const auto inner = kernels::exact_linear(x, adapter.a, std::nullopt);
    result.add_(kernels::exact_linear(inner, adapter.b, std::nullopt), adapter.scale);
  }

  at::Tensor next_norm(const at::Tensor& weight) {
    if (!added.defined()) return kernels::rms_norm_into(places.normed, stream, weight, config.norm_eps);
    at::Tensor normed;
    std::tie(stream, normed) = kernels::add_rms_norm_into(places.normed, stream, added, weight, config.norm_eps);
    return normed;
  }

  at::Tensor attention(const SamplingLayer& layer, const at::Tensor& x, kernels::PagedKv& cache) const {
    const int64_t tokens = x.size(0), all_heads = config.num_heads + 2 * config.num_kv_heads;
    const auto qkv = apply(layer.qkv, x, places.qkv);
    const auto queries = kernels::write_qkv_into(
        places.queries,
        {.heads = qkv.is_same(places.qkv) ? places.heads : qkv.view({tokens, all_heads, config.head_dim}),
         .q_norm = layer.q_norm,
         .k_norm = layer.k_norm,
         .norm_eps = config.norm_eps,
         .positions = batch.positions,
         .cos = batch.cos,
         .sin = batch.sin},
        batch.layout, cache);
    const auto out = kernels::paged_attention_into(places.attended, queries, cache, batch.layout,
                                                   1.0 / std::sqrt(static_cast<double>(config.head_dim)));
    const auto matrix =
        out.is_same(places.attended) ? places.attended_matrix : out.view({tokens, config.num_heads * config.head_dim});
    return apply(layer.o, matrix, places.added);
  }

  std::array<at::Tensor, 2> halves(const at::Tensor& gate_up) const {
    if (gate_up.is_same(places.gate_up)) return {places.gate, places.up};
    return {gate_up.narrow(1, 0, config.intermediate_size),
            gate_up.narrow(1, config.intermediate_size, config.intermediate_size)};
  }

  void run(const SamplingLayer& layer, kernels::PagedKv& cache) {
    added = attention(layer, next_norm(layer.input_norm), cache);
    const auto [gate, up] = halves(apply(layer.gate_up, next_norm(layer.post_attention_norm), places.gate_up));
    added = apply(layer.down, kernels::silu_mul_into(places.gated, gate, up), places.added);
  }
};

bool is_trained(const DecoderLayer& layer) {
  for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
    if (linear->weight.requires_grad() || (linear->bias && linear->bias->requires_grad())) return true;
    if (linear->adapter.is_there() && linear->adapter.a.requires_grad()) return true;
  }
  for (const at::Tensor* norm : {&layer.q_norm, &layer.k_norm, &layer.input_norm, &layer.post_attention_norm}) {
    if (norm->defined() && norm->requires_grad()) return true;
  }
  return false;
}

}  // namespace

CausalLM::CausalLM() : state_(std::make_unique<State>()) {}
CausalLM::~CausalLM() = default;

std::unique_ptr<CausalLM> CausalLM::load(const fs::path& folder, at::ScalarType dtype, at::Device device,
                                         const ConfigOverrides& overrides) {
  std::unique_ptr<CausalLM> model(new CausalLM());
  State& state = *model->state_;
  state.load(base_folder(folder), dtype, device, overrides);
  if (!is_adapter_folder(folder)) return model;
  state.lora = read_adapters(state.weights, folder);
  state.adapters = name_adapters(state.weights);
  return model;
}

std::unique_ptr<CausalLM> CausalLM::load_merged(const fs::path& folder, at::ScalarType dtype, at::Device device) {
  std::unique_ptr<CausalLM> model(new CausalLM());
  model->state_->load(base_folder(folder), dtype, device, {});
  merge_adapters(model->state_->weights, folder);
  return model;
}

std::unique_ptr<CausalLM> CausalLM::init(const ModelConfig& config, uint64_t seed, at::ScalarType dtype,
                                         at::Device device) {
  std::unique_ptr<CausalLM> model(new CausalLM());
  State& state = *model->state_;
  state.config = config;
  state.frequencies = rope_frequencies(config.rope, config.head_dim);
  state.weights = init_weights(config, seed, dtype, device);
  state.parameters = name_weights(state.weights, config);
  state.parameter_layers = layers_of(state.parameters);
  return model;
}

const ModelConfig& CausalLM::config() const { return state_->config; }
at::ScalarType CausalLM::dtype() const { return state_->weights.embedding.scalar_type(); }
at::Device CausalLM::device() const { return state_->weights.embedding.device(); }
const NamedTensors& CausalLM::parameters() const { return state_->parameters; }
const std::vector<int64_t>& CausalLM::parameter_layers() const { return state_->parameter_layers; }

namespace {

void check_names_a_weight(const std::string& pattern, const NamedTensors& parameters) {
  const auto named = [&](const auto& parameter) { return names_weight(pattern, parameter.first); };
  if (std::any_of(parameters.begin(), parameters.end(), named)) return;
  throw base::ConfigError(base::concat("model.freeze: ", pattern, " names no weight; weights are called like ",
                                       parameters.front().first, " or ", parameters[parameters.size() / 2].first));
}

}  // namespace

void CausalLM::freeze(const std::vector<std::string>& patterns) {
  for (const auto& pattern : patterns) check_names_a_weight(pattern, state_->parameters);
  for (auto& [name, tensor] : state_->parameters) {
    if (names_weight(patterns, name)) tensor.set_requires_grad(false);
  }
  if (trained().parameters.empty()) throw base::ConfigError("model.freeze: no weight is left to train");
}

CausalLM::Trained CausalLM::trained() const {
  Trained trained;
  for (const auto* all : {&state_->parameters, &state_->adapters}) {
    for (const auto& parameter : *all) {
      if (parameter.second.requires_grad()) trained.parameters.push_back(parameter);
    }
  }
  trained.layers = layers_of(trained.parameters);
  return trained;
}

void CausalLM::add_adapters(const LoraConfig& config, uint64_t seed) {
  GRPO_CHECK(config.rank > 0 && state_->adapters.empty(), "rank ", config.rank, ", ", state_->adapters.size(),
             " factors");
  for (auto& [name, tensor] : state_->parameters) tensor.set_requires_grad(false);
  make_adapters(state_->weights, config, seed);
  state_->adapters = name_adapters(state_->weights);
  state_->lora = config;
  release_sampling_weights();
}

const NamedTensors& CausalLM::adapters() const { return state_->adapters; }
const NamedTensors& CausalLM::own_parameters() const {
  return state_->adapters.empty() ? state_->parameters : state_->adapters;
}
CausalLM::SavedParameters CausalLM::saved_in(const fs::path& folder) const {
  if (state_->adapters.empty()) return {folder, state_->parameters};
  return {folder / kAdapterWeights, named_as_saved(state_->adapters)};
}
bool CausalLM::has_dropout() const { return !state_->adapters.empty() && state_->lora.dropout > 0.0; }

std::unique_ptr<CausalLM> CausalLM::twin(TwinAdapters adapters) const {
  std::unique_ptr<CausalLM> model(new CausalLM());
  State& state = *model->state_;
  state.config = state_->config;
  state.weights = state_->weights;
  state.parameters = state_->parameters;
  state.parameter_layers = state_->parameter_layers;
  state.source_config = state_->source_config;
  state.frequencies = state_->frequencies;
  if (adapters == TwinAdapters::kNone) {
    remove_adapters(state.weights);
  } else {
    copy_adapters(state.weights);
    state.lora = state_->lora;
  }
  state.adapters = name_adapters(state.weights);
  return model;
}

const at::Tensor& CausalLM::head_weight() const {
  return state_->config.tied_embeddings ? state_->weights.embedding : state_->weights.head;
}

at::Tensor CausalLM::hidden_states(const nn::PackedBatch& batch) const {
  const DecoderWeights& weights = state_->weights;
  const auto [cos, sin] = state_->rope_for(batch.longest_text());
  const auto attention =
      nn::has_own_attention(dtype(), device()) ? nn::AttentionKernel::kOwn : state_->training.attention;
  // The pass is shared with nodes of the graph that compute a layer again in the backward.
  const auto pass = std::make_shared<const TrainingPass>(
      TrainingPass{.config = state_->config,
                   .plan = nn::plan_attention(batch.offsets, device(), attention, batch.shared),
                   .rope = {batch.positions, cos, sin, state_->config.head_dim},
                   .recompute = state_->training.recompute,
                   .dropout_keys = batch.dropout_keys});
  const bool again = state_->training.recompute == Recompute::kFull && at::GradMode::is_enabled();
  const AroundLayers around(state_->hooks, weights.layers.size());
  int64_t next = 0;
  auto x = at::embedding(weights.embedding, batch.ids);
  for (const auto& layer : weights.layers) {
    around.pass(next++, x);
    if (again && (x.requires_grad() || is_trained(layer))) {
      // nn::recomputed gives the layer's weights their gradients only if its input takes one.
      if (!x.requires_grad()) x = x.detach().set_requires_grad(true);
      x = nn::recomputed([pass, &layer](const at::Tensor& input) { return pass->run(layer, input); }, x);
    } else {
      x = pass->run(layer, x);
    }
  }
  around.pass(next, x);
  return nn::rms_norm(x, {weights.final_norm, state_->config.norm_eps});
}

at::Tensor CausalLM::extend(const PagedBatch& batch, std::vector<kernels::PagedKv>& cache, bool exact,
                            const SamplingPlaces& places) const {
  const at::NoGradGuard no_grad;
  if (exact && dtype() != at::kFloat && device().is_cpu())
    throw base::ConfigError("rollout.exact on the CPU needs model.dtype: float32");
  GRPO_CHECK(cache.size() == state_->weights.layers.size(), cache.size(), " caches, ", state_->weights.layers.size(),
             " layers");
  SamplingPass pass{
      .config = state_->config, .batch = batch, .exact = exact, .places = places, .stream = places.stream, .added = {}};
  if (pass.stream.defined()) {
    kernels::take_rows(state_->weights.embedding, batch.ids, pass.stream);
  } else {
    pass.stream = at::embedding(state_->weights.embedding, batch.ids);
  }
  const auto weights = state_->weights_to_sample(exact);
  for (size_t i = 0; i < cache.size(); ++i) pass.run(weights->layers[i], cache[i]);
  return pass.next_norm(state_->weights.final_norm);
}

std::pair<at::Tensor, at::Tensor> CausalLM::rotations(int64_t positions) const { return state_->rope_for(positions); }

at::Tensor CausalLM::logits(const at::Tensor& hidden, bool exact, const at::Tensor& place) const {
  const at::NoGradGuard no_grad;
  if (exact) return kernels::exact_linear(hidden, head_weight(), std::nullopt);
  return nn::prepacked_linear(hidden, state_->weights_to_sample(false)->head, std::nullopt, place);
}

void CausalLM::set_layer_hooks(LayerHooks hooks) {
  state_->hooks = std::make_shared<const LayerHooks>(std::move(hooks));
}

void CausalLM::set_training_options(const TrainingOptions& options) { state_->training = options; }

const TrainingOptions& CausalLM::training_options() const { return state_->training; }

void CausalLM::release_sampling_weights() {
  const std::lock_guard lock(state_->sampling_mutex);
  state_->sampling.reset();
  state_->exact_sampling.reset();
}

void CausalLM::save(const fs::path& folder, const fs::path& source, int64_t max_shard_bytes) const {
  if (!state_->adapters.empty()) return save_adapters(folder, state_->adapters, state_->lora, source);
  save_model_folder(folder, state_->config, state_->source_config, state_->parameters, source, max_shard_bytes);
}

std::function<void(const fs::path&)> CausalLM::writer(const fs::path& source, bool copy) const {
  NamedTensors tensors;
  for (const auto& [name, tensor] : own_parameters()) tensors.emplace_back(name, to_host(tensor, copy));
  if (!state_->adapters.empty()) {
    return [tensors = std::move(tensors), lora = state_->lora, source](const fs::path& folder) {
      save_adapters(folder, tensors, lora, source);
    };
  }
  return [tensors = std::move(tensors), config = state_->config, source_config = state_->source_config,
          source](const fs::path& folder) {
    save_model_folder(folder, config, source_config, tensors, source, kMaxShardBytes);
  };
}

}  // namespace grpo::models
