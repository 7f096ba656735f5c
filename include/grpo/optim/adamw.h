#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/optim/optimizer_config.h"

namespace grpo::optim {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct Bucket;

struct UpdateResult {
  double grad_norm = 0.0;  // global L2 norm before clipping; not finite when the update was skipped
  double lr = 0.0;         // rate of this update
  bool applied = false;
};

/// What the ranks split instead of each holding all of it (ZeRO, arXiv 1910.02054). Every rank always has all weights.
enum class StateSharding {
  kNone,       // gradients are summed over ranks; each rank takes the same step
  kOptimizer,  // masters and moments are split; gradients are reduce-scattered once a step, weights gathered after it
  kGradients,  // fp32 gradient sums are split too: reduce-scattered after each backward pass
};

struct AdamWOptions {
  /// Which parameters decay. By default all with decay_norms_and_biases, else those of two or more dimensions
  /// (matrices, embeddings among them, but no norms and biases).
  std::function<bool(const std::string& name, const at::Tensor& parameter)> decays = {};
  /// Ranks whose gradients are summed before each step; they hold the same parameters. Must outlive the optimizer.
  dist::Communicator* communicator = nullptr;
  StateSharding sharding = StateSharding::kNone;  // with one rank: kNone
  int64_t bucket_elements = int64_t{1} << 24;     // of one collective when state is split
};

/// AdamW (arXiv 1711.05101) on fp32 master weights. t counts applied updates from 1, g is the clipped gradient:
///   g <- g min(1, clip / (|g| + 1e-6))                      |g|: L2 norm over all parameters and ranks
///   w <- w (1 - lr decay)                                    parameters that decay
///   m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
///   w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
/// A parameter of a lower dtype has an fp32 master and an fp32 gradient sum, and is rounded from its master after each
/// update; an fp32 parameter is its own master and its .grad its own sum.
class AdamW {
 public:
  /// parameters: contiguous leaves, changed in place by step(). Throws base::ConfigError (validate).
  AdamW(NamedTensors parameters, OptimizerConfig config, AdamWOptions options = {});
  ~AdamW();

  /// Adds every .grad to the fp32 sums; call after each backward pass. With kGradients a collective: ranks call it
  /// equally often, also without a gradient.
  void accumulate();

  /// Clips and applies what was accumulated (and what a backward pass has left since), and clears it. total_updates: of
  /// the run, for the schedule. A parameter that got no gradient has gradient 0. When the norm is not finite nothing
  /// changes (weights, moments, both counters of the schedule and of Adam) but consecutive_skips(), and a warning is
  /// logged; all ranks see the same norm. gradient_scale: first multiplies what was accumulated. A collective when there are
  /// several ranks.
  UpdateResult step(int64_t total_updates, double gradient_scale = 1.0);

  /// Drops gradients that were not applied.
  void zero_grad();

  /// Whether this rank may drop its gradients and begin again while the others go on: nothing of what it accumulated has been sent.
  bool can_drop_alone() const { return options_.sharding != StateSharding::kGradients; }

  int64_t updates() const { return updates_; }                      // applied so far
  int64_t consecutive_skips() const { return consecutive_skips_; }  // skipped since the last applied one

  /// Moments `exp_avg.<name>`, `exp_avg_sq.<name>` and, with masters, `master.<name>` (of an fp32 parameter: itself),
  /// all fp32. They share the optimizer's memory: writing into them, then restore(), restores a run bit for bit.
  /// Split state: this rank's pieces, flat, as `exp_avg.<name>:<first element>`.
  NamedTensors state_tensors(bool masters) const;

  /// Fills elements [begin, begin + target.numel()) of the flattened tensor `name` (as `exp_avg.<parameter>`) of this
  /// whole shape into `target`, flat.
  using ReadState =
      std::function<void(const std::string& name, at::IntArrayRef shape, int64_t begin, at::Tensor& target)>;
  /// Restores moments and, with masters, master weights from any source, however it was split; then restore().
  void read_state(const ReadState& read, bool masters);

  /// Sets the counters and rounds parameters of a lower dtype from their masters again. A collective when split.
  void restore(int64_t updates, int64_t consecutive_skips);

 private:
  struct Parameter {
    std::string name;
    at::Tensor tensor;
    at::Tensor gradient;  // fp32 sum of a parameter of lower dtype; undefined before accumulate()
    bool decays = false;
  };
  // What this rank updates: a whole parameter in its shape, or a flat piece of one.
  struct State {
    size_t parameter = 0;
    int64_t begin = 0;
    at::Tensor master;  // fp32; shares the parameter's memory when that is fp32
    at::Tensor exp_avg;
    at::Tensor exp_avg_sq;
    at::Tensor gradient;  // kGradients: the piece's sum over passes and ranks; undefined before accumulate()
  };

  bool is_split() const { return options_.sharding != StateSharding::kNone; }
  bool has_copy(const Parameter& parameter) const { return parameter.tensor.scalar_type() != at::kFloat; }
  void add_states();
  at::Tensor gradient_of(const Parameter& parameter) const;
  std::vector<at::Tensor> summed_gradients();
  std::vector<at::Tensor> scattered_gradients();
  void accumulate_scattered();
  double norm_of(const std::vector<at::Tensor>& gradients) const;
  void apply(std::vector<at::Tensor> gradients, double grad_norm, double lr);
  void write_back();
  void gather_weights();
  std::string name_of(const State& state) const;

  OptimizerConfig config_;
  AdamWOptions options_;
  std::vector<Parameter> parameters_;
  std::vector<Bucket> buckets_;  // split state: each owned piece is one of states_, in order
  std::vector<State> states_;
  int64_t updates_ = 0;
  int64_t consecutive_skips_ = 0;
};

}  // namespace grpo::optim
