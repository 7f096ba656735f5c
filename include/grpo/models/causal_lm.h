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
#include "grpo/models/sampling_places.h"
#include "grpo/nn/attention.h"
#include "grpo/nn/packed_batch.h"

namespace grpo::models {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// New tokens of sequences whose earlier tokens are in a paged cache.
struct PagedBatch {
  at::Tensor ids;        // [T] int64
  at::Tensor positions;  // [T] int64
  at::Tensor cos, sin;   // CausalLM::rotations() for at least all of the positions
  kernels::PagedLayout layout;
};

/// What a layer keeps for its backward, which computes the rest again (arXiv 1604.06174).
enum class Recompute {
  kNone,       // everything that the backward reads
  kSelective,  // all but the MLP's two wide activations, which are cheap to compute for their size
  kFull,       // only the layer's input
};

/// How differentiable passes compute.
struct TrainingOptions {
  Recompute recompute = Recompute::kNone;
  nn::AttentionKernel attention = nn::AttentionKernel::kPadded;  // kOwn is taken in its place where there is that
};

/// Functions that are called around each layer of a training pass, in the thread that runs it. A pass without gradient
/// has no backward. What the backward computes again counts as part of the backward.
struct LayerHooks {
  using Hook = std::function<void(int64_t layer)>;
  std::function<void(int64_t layer, const at::Tensor& x)> before_forward;  // x: what the layer reads, [T, hidden]
  Hook after_forward;
  Hook before_backward;
  Hook after_backward;  // the gradients of all of the layer's weights are complete
};

/// A decoder-only transformer (Qwen2/2.5, Qwen3, Llama). Sampler and trainer read the same weights.
class CausalLM {
 public:
  static constexpr int64_t kMaxShardBytes = 5'000'000'000;

  /// Reads a Hugging Face folder (config.json, safetensors single or sharded), or a folder of adapters and their
  /// base model (lora.h); such adapters take no gradient. `dtype` is that of the working weights and of the
  /// computation. Throws base::IoError naming a tensor that is missing or has the wrong shape, and
  /// base::ConfigError for an unknown architecture.
  static std::unique_ptr<CausalLM> load(const std::filesystem::path& folder, at::ScalarType dtype, at::Device device,
                                        const ConfigOverrides& overrides = {});

  /// The base model of a folder of adapters, with the adapters added to its weights: in fp32, of the factors as the
  /// folder holds them, and rounded to `dtype` once. The result has no adapters. Throws as load() does.
  static std::unique_ptr<CausalLM> load_merged(const std::filesystem::path& folder, at::ScalarType dtype,
                                               at::Device device);

  /// A model with random weights, normal(0, initializer_range) keyed by (seed, parameter
  /// name); norms are 1 and biases 0.
  static std::unique_ptr<CausalLM> init(const ModelConfig& config, uint64_t seed, at::ScalarType dtype,
                                        at::Device device);
  ~CausalLM();

  const ModelConfig& config() const;
  at::ScalarType dtype() const;
  at::Device device() const;

  /// Every weight under its checkpoint name, in the model's order. The weights are leaves that require grad unless they
  /// are frozen. A tied head is not listed, since it is the embedding.
  const NamedTensors& parameters() const;

  /// Freezes the weights that a pattern names (freeze.h): they take no gradient from now on, and passes neither keep
  /// nor compute what only their gradients need. Throws base::ConfigError for a pattern that names no weight, and
  /// when no weight is left to train.
  void freeze(const std::vector<std::string>& patterns);

  /// Freezes all weights and gives the linear layers that `config` names adapters, which add nothing at first. `seed`
  /// and the layers' names determine them. REQUIRES: there are no adapters yet, and config.rank > 0.
  void add_adapters(const LoraConfig& config, uint64_t seed);

  /// The adapters' factors under their names in peft, such as model.layers.0.self_attn.q_proj.lora_A.weight; empty
  /// without adapters. As for parameters(), those of a layer are views of one piece of memory.
  const NamedTensors& adapters() const;

  /// Whether training passes drop inputs of the adapters (nn::PackedBatch::dropout_keys).
  bool has_dropout() const;

  /// A model that shares this model's weights. It has no adapters (kNone), or copies of them as they are now (kCopies).
  enum class TwinAdapters { kNone, kCopies };
  std::unique_ptr<CausalLM> twin(TwinAdapters adapters) const;

  /// What is saved and may be trained: the adapters' factors if there are adapters, else parameters().
  const NamedTensors& own_parameters() const;

  /// The place and the names under which save(folder) writes own_parameters().
  struct SavedParameters {
    std::filesystem::path path;  // a file, or the folder of several files
    NamedTensors parameters;
  };
  SavedParameters saved_in(const std::filesystem::path& folder) const;

  /// The tensors of parameters() and adapters() that are not frozen, and the layer of each.
  struct Trained {
    NamedTensors parameters;
    std::vector<int64_t> layers;
  };
  Trained trained() const;

  /// The layer of each of parameters(); -1 for the embedding, the final norm and the head. The parameters of a layer
  /// are views of one piece of memory (storage), which holds nothing else, apart from gaps between them.
  const std::vector<int64_t>& parameter_layers() const;

  /// Hidden states after the final norm, for training and scoring; [T, hidden], differentiable.
  at::Tensor hidden_states(const nn::PackedBatch& batch) const;

  /// Sets how later calls of hidden_states() compute. Results and gradients only change by rounding.
  void set_training_options(const TrainingOptions& options);
  const TrainingOptions& training_options() const;

  /// Sets the hooks for later calls of hidden_states().
  void set_layer_hooks(LayerHooks hooks);

  /// Tables of cos and sin for at least all positions below `positions`: [positions or more, head_dim / 2] fp32.
  std::pair<at::Tensor, at::Tensor> rotations(int64_t positions) const;

  /// Hidden states of new tokens without autograd, [T, hidden]. Reads the paged cache and adds the new tokens to it;
  /// `cache` has one PagedKv per layer. With `exact` (on the CPU only in fp32) a row's result does not depend on the
  /// rest of the batch, bit for bit. With places the result lies in one of them (normed). REQUIRES: they are prepared
  /// for this pass, on the CPU and without `exact`.
  at::Tensor extend(const PagedBatch& batch, std::vector<kernels::PagedKv>& cache, bool exact,
                    const SamplingPlaces& places = {}) const;

  /// Logits of hidden states: [N, hidden] -> [N, vocab] in the dtype of the model, without autograd. `place`: as in
  /// nn::prepacked_linear(), without `exact`.
  at::Tensor logits(const at::Tensor& hidden, bool exact, const at::Tensor& place = {}) const;

  /// The output embedding, [vocab, hidden], which is the input embedding if the two are tied.
  const at::Tensor& head_weight() const;

  /// Frees the copies of the weights that sampling keeps (prepacked or fused); the next extend() or logits() makes them
  /// again. To be called after weights were changed in place and before the next extend() or logits().
  void release_sampling_weights();

  /// Writes config.json and model.safetensors (sharded above max_shard_bytes), and copies tokenizer and
  /// generation files from `source`, the folder from which the model was loaded (empty: none). transformers
  /// loads the result without conversion. Of a model with adapters only these are written, in peft's form,
  /// with `source` as their base model.
  void save(const std::filesystem::path& folder, const std::filesystem::path& source,
            int64_t max_shard_bytes = kMaxShardBytes) const;

  /// save() in two parts: takes the weights now and returns a function that writes them, from any thread. With `copy`
  /// the weights may change in between; without it they must not.
  std::function<void(const std::filesystem::path& folder)> writer(const std::filesystem::path& source, bool copy) const;

 private:
  CausalLM();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::models
