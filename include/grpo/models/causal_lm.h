#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpo/kernels/paged_kv.h"
#include "grpo/models/lora.h"
#include "grpo/models/model_config.h"
#include "grpo/nn/attention.h"
#include "grpo/nn/packed_batch.h"

namespace grpo::models {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// New tokens for sequences whose earlier tokens are in a paged cache.
struct PagedBatch {
  at::Tensor ids;        // [T] int64
  at::Tensor positions;  // [T] int64
  at::Tensor cos, sin;   // CausalLM::rotations() for all of the positions
  kernels::PagedLayout layout;
};

/// What a layer keeps for its backward (arXiv 1604.06174); the rest is computed again.
enum class Recompute {
  kNone,       // all that the backward reads
  kSelective,  // all but the MLP's two wide activations, which are cheap for their size
  kFull,       // the layer's input alone
};

/// How the differentiable pass computes.
struct TrainingOptions {
  Recompute recompute = Recompute::kNone;
  nn::AttentionKernel attention = nn::AttentionKernel::kPadded;
};

/// Functions that are called around each layer of a training pass, in the thread that runs it. A pass without gradient
/// has no backward. What is computed again in the backward counts as part of the backward.
struct LayerHooks {
  using Hook = std::function<void(int64_t layer)>;
  std::function<void(int64_t layer, const at::Tensor& x)> before_forward;  // x: what the layer reads, [T, hidden]
  Hook after_forward;
  Hook before_backward;
  Hook after_backward;  // the gradients of all of the layer's weights are complete
};

/// A decoder-only transformer (Qwen2/2.5, Qwen3, Llama): one set of weights that the sampler and the trainer read.
class CausalLM {
 public:
  static constexpr int64_t kMaxShardBytes = 5'000'000'000;

  /// Reads a Hugging Face folder (config.json, safetensors single or sharded), or one of adapters and the model that
  /// they belong to (lora.h); nothing but a model's weights is trained then. dtype: of the working weights; computing
  /// is done in it. Throws base::IoError on a missing or misshapen tensor (named), base::ConfigError on an unknown
  /// architecture.
  static std::unique_ptr<CausalLM> load(const std::filesystem::path& folder, at::ScalarType dtype, at::Device device,
                                        const ConfigOverrides& overrides = {});

  /// Random weights, normal(0, initializer_range) keyed by (seed, parameter name), norms 1, biases 0.
  static std::unique_ptr<CausalLM> init(const ModelConfig& config, uint64_t seed, at::ScalarType dtype,
                                        at::Device device);
  ~CausalLM();

  const ModelConfig& config() const;
  at::ScalarType dtype() const;
  at::Device device() const;

  /// Every weight under its checkpoint name, in the model's order. The weights are leaves of autograd that require grad
  /// unless they are frozen. A tied head is not listed.
  const NamedTensors& parameters() const;

  /// Freezes the weights that a pattern names (freeze.h): they take no gradient from now on, and what only their
  /// gradients would need is neither kept nor computed. Throws base::ConfigError for a pattern that names no weight, or
  /// when no weight is left to train.
  void freeze(const std::vector<std::string>& patterns);

  /// Freezes all weights and gives the linear layers that `config` names adapters, which add nothing at first
  /// (adapters are drawn from `seed` and the layers' names). REQUIRES: there are none, and config.rank > 0.
  void add_adapters(const LoraConfig& config, uint64_t seed);

  /// The adapters' factors under their names in peft, as model.layers.0.self_attn.q_proj.lora_A.weight; empty without
  /// adapters. Those of a layer are views of one piece of memory, as parameters() are.
  const NamedTensors& adapters() const;

  /// Whether training passes leave out inputs of the adapters (nn::PackedBatch::dropout_rows).
  bool has_dropout() const;

  /// Adds to the weights what the adapters add, in fp32 and rounded once, and removes the adapters.
  void merge_adapters();

  /// A model of the same weights, in the same memory: without adapters, or with copies of them as they are now.
  enum class TwinAdapters { kNone, kCopies };
  std::unique_ptr<CausalLM> twin(TwinAdapters adapters) const;

  /// What may be trained and is saved: the adapters where there are some, else parameters().
  const NamedTensors& own_parameters() const;

  /// Where save(folder) writes own_parameters() to, and under which names.
  struct SavedParameters {
    std::filesystem::path path;  // a file, or the folder of files
    NamedTensors parameters;
  };
  SavedParameters saved_in(const std::filesystem::path& folder) const;

  /// Those of parameters() and adapters() that are not frozen, and their layers.
  struct Trained {
    NamedTensors parameters;
    std::vector<int64_t> layers;
  };
  Trained trained() const;

  /// The layer that each of parameters() belongs to; -1 for the embedding, the final norm and the head. The parameters
  /// of a layer are views of one piece of memory (storage), which holds nothing else but gaps between them.
  const std::vector<int64_t>& parameter_layers() const;

  /// Final-norm hidden states for training and scoring, differentiable; [T, hidden].
  at::Tensor hidden_states(const nn::PackedBatch& batch) const;

  /// Sets how later calls of hidden_states() compute. Results and gradients change by rounding only.
  void set_training_options(const TrainingOptions& options);

  /// Sets the hooks of later calls of hidden_states().
  void set_layer_hooks(LayerHooks hooks);

  /// cos and sin of every position below `positions` (or more), [positions, head_dim / 2] fp32.
  std::pair<at::Tensor, at::Tensor> rotations(int64_t positions) const;

  /// As hidden_states, but without autograd, and reading and extending the paged cache; [T, hidden]. cache: one PagedKv
  /// for each layer. With `exact` (on the CPU in fp32 only) a row's result does not depend on the rest of the batch,
  /// bit for bit.
  at::Tensor extend(const PagedBatch& batch, std::vector<kernels::PagedKv>& cache, bool exact) const;

  /// The logits of hidden states: [N, hidden] -> [N, vocab] in the compute dtype, without autograd.
  at::Tensor logits(const at::Tensor& hidden, bool exact) const;

  /// The output embedding, [vocab, hidden], which is the input embedding when the two are tied; a differentiable leaf.
  const at::Tensor& head_weight() const;

  /// Frees the copies of the weights that sampling keeps (prepacked, fused); the next extend()/logits() makes them
  /// anew. Must be called between a change of the weights in place and the next extend()/logits().
  void release_sampling_weights();

  /// Writes config.json, model.safetensors (sharded above max_shard_bytes) and copies tokenizer and generation files
  /// from `source` (the folder it was loaded from; empty: none). What is saved loads in transformers without a
  /// converter. Of a model with adapters these alone are written, as peft loads them, with `source` as their base.
  void save(const std::filesystem::path& folder, const std::filesystem::path& source,
            int64_t max_shard_bytes = kMaxShardBytes) const;

  /// As save, in two parts: takes the weights now, and returns a function that writes them, from any thread. With
  /// `copy` the weights may change meanwhile; without it they must not.
  std::function<void(const std::filesystem::path& folder)> writer(const std::filesystem::path& source, bool copy) const;

 private:
  CausalLM();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::models
