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
struct Piece;
struct UpdateItem;
class GradientReducer;
class ShardedWeights;
class UpdateRule;

struct UpdateResult {
  double grad_norm = 0.0;  // global L2 norm before clipping; not finite when the update was skipped
  double lr = 0.0;         // rate of this update
  bool applied = false;
};

/// What the ranks split instead of each holding all of it (ZeRO, arXiv 1910.02054).
enum class StateSharding {
  kNone,       // gradients are summed over ranks; each rank takes the same step
  kOptimizer,  // masters and moments are split; gradients are reduce-scattered once a step, weights gathered after it
  kGradients,  // fp32 gradient sums are split too: reduce-scattered in each backward pass
  kWeights,    // the layers' weights are split too between release_weights() and gather_weights()
};

struct OptimizerOptions {
  /// Says which parameters decay. By default all do with decay_norms_and_biases; without it those of two or more
  /// dimensions (matrices and embeddings, but no norms and biases).
  std::function<bool(const std::string& name, const at::Tensor& parameter)> decays = {};
  /// The ranks whose gradients are summed before each step; all hold the same parameters. It must outlive the
  /// optimizer.
  dist::Communicator* communicator = nullptr;
  StateSharding sharding = StateSharding::kNone;  // with one rank: kNone
  at::ScalarType reduce_dtype = at::kFloat;       // or bf16: what gradients are rounded to, once, to cross the ranks
  /// The layer that each parameter belongs to, from 0; -1 outside of layers. An empty list means that there are no
  /// layers.
  std::vector<int64_t> layers = {};
  /// Masters and moments lie in host memory (page-locked beside a GPU). A step brings them to the parameters' device
  /// one part at a time, of offload_elements elements or of one parameter. Masters that are fp32 parameters themselves
  /// stay where they are.
  bool offload = false;
  int64_t offload_elements = int64_t{1} << 26;
};

/// Updates fp32 master weights from gradients that ranks and micro-batches add up. t counts applied updates from 1, g
/// is the clipped gradient:
///   g <- g min(1, clip / (|g| + 1e-6))                      |g|: L2 norm over all parameters and ranks
/// AdamW (arXiv 1711.05101):
///   w <- w (1 - lr decay)                                    parameters that decay
///   m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
///   w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
/// Muon (https://kellerjordan.github.io/posts/muon; the factor 0.2 and the decay of arXiv 2502.16982) for matrices of
/// layers:
///   m <- mu m + g,   u = g + mu m                            u: the matrix as it will be one step on (Nesterov)
///   o = NS(u): X <- u / |u|_F, then five times X <- 3.4445 X - 4.775 (X X^T) X + 2.0315 (X X^T)^2 X
///   w <- w (1 - lr decay) - lr 0.2 sqrt(max(rows, columns)) o
/// A parameter of a lower dtype has an fp32 master and an fp32 gradient sum, and is rounded from its master after each
/// update; an fp32 parameter is its own master and its .grad its own sum.
///
/// With several ranks everything but the accessors is a collective, and a training pass is one too (begin_pass() to
/// accumulate()): ranks make the same calls in the same order, those around layers included. Parameters that share
/// memory cross the ranks together; they then own all of it. Gradients are reduced beside the backward pass where the
/// calls around layers say when a layer's are complete, and by step() where they do not, with the same result. Muon
/// reads whole matrices: where ranks split the state they put u together, a bucket at a time in fp32.
class Optimizer {
 public:
  /// parameters: contiguous leaves, changed in place by step(). Throws base::ConfigError (validate).
  Optimizer(NamedTensors parameters, OptimizerConfig config, OptimizerOptions options = {});
  ~Optimizer();

  /// To be called before each forward and backward pass. last: it is this rank's last one in this update.
  void begin_pass(bool last);
  /// To be called after a backward pass: adds every .grad to the fp32 sums.
  void accumulate();
  /// Takes part in the collectives of a pass on a rank that has no pass left to run. Does nothing with kNone and
  /// kOptimizer.
  void idle_pass();

  /// To be called around each layer of a pass; the gradients of a layer are complete after its backward. They do
  /// nothing with one rank.
  void before_layer_forward(int64_t layer);
  void after_layer_forward(int64_t layer);
  void before_layer_backward(int64_t layer);
  void after_layer_backward(int64_t layer);

  /// To be called after the update's last pass: starts to reduce what is left. step() does it where it has not been
  /// done.
  void start_reduction();

  /// Clips and applies what was accumulated (and what a backward pass has left since), and clears it. total_updates:
  /// the number of updates of the whole run, for the schedule. gradient_scale multiplies what was accumulated first. A
  /// parameter that got no gradient counts as having gradient 0. When the norm is not finite neither weights nor
  /// moments nor the counters of schedule and Adam change; consecutive_skips() counts it and a warning is logged. All
  /// ranks see the same norm.
  UpdateResult step(int64_t total_updates, double gradient_scale = 1.0);

  /// Drops all gradients that were not applied.
  void zero_grad();

  /// With kWeights: frees the layers' weights except this rank's shards; passes then gather each layer as they need it.
  /// Views of the weights stay valid; their memory is there during passes and after gather_weights(). Does nothing
  /// otherwise.
  void release_weights();
  void gather_weights();

  /// Whether this rank sends anything to the others in the next pass. If so it cannot drop its gradients alone
  /// afterwards.
  bool sends_in_pass(bool last) const { return has_ranks() && (splits_gradients() || last); }
  /// Whether this rank may drop its gradients and begin again while the others go on, because nothing of what it
  /// accumulated has been sent.
  bool can_drop_alone() const;

  int64_t updates() const { return updates_; }                      // applied so far
  int64_t consecutive_skips() const { return consecutive_skips_; }  // skipped since the last applied one

  /// The rule's state, `exp_avg.<name>` and `exp_avg_sq.<name>`, or `momentum_buffer.<name>`, and, with masters,
  /// `master.<name>` (of an fp32 parameter: itself), all fp32. They share the optimizer's memory: writing into them,
  /// then restore(), restores a run bit for bit. Split state: this rank's pieces, flat, as `exp_avg.<name>:<first
  /// element>`.
  NamedTensors state_tensors(bool masters) const;

  /// Fills `target`, which is flat, with the elements [begin, begin + target.numel()) of the flattened tensor that is
  /// called `name` (as `exp_avg.<parameter>`) and has this whole shape.
  using ReadState =
      std::function<void(const std::string& name, at::IntArrayRef shape, int64_t begin, at::Tensor& target)>;
  /// Restores moments and, with masters, master weights from any source, however it was split; restore() must follow.
  /// Without masters they are taken from the parameters.
  void read_state(const ReadState& read, bool masters);

  /// Sets the counters and rounds parameters of a lower dtype from their masters again. A collective where the state is
  /// split.
  void restore(int64_t updates, int64_t consecutive_skips);

 private:
  struct Parameter {
    std::string name;
    at::Tensor tensor;
    at::Tensor gradient;  // fp32 sum of a parameter of lower dtype; undefined before accumulate(). One rank only
    bool decays = false;
    const UpdateRule* rule = nullptr;
  };
  // One thing that this rank updates: a whole parameter in its shape, or a flat piece of one.
  struct State {
    size_t parameter = 0;
    int64_t begin = 0;
    size_t bucket = 0;  // several ranks: where its gradient is in the bucket's reduced ones
    int64_t offset = 0;
    at::Tensor master;             // fp32; shares memory with an fp32 parameter or its shard
    std::vector<at::Tensor> kept;  // as the rule's state_names()
    bool has_own_master = false;
  };

  bool has_ranks() const { return options_.communicator != nullptr && options_.communicator->size() > 1; }
  bool is_split() const { return options_.sharding != StateSharding::kNone; }
  bool splits_gradients() const { return options_.sharding == StateSharding::kGradients || splits_weights(); }
  bool splits_weights() const { return options_.sharding == StateSharding::kWeights; }
  bool has_copy(const Parameter& parameter) const { return parameter.tensor.scalar_type() != at::kFloat; }
  void lay_out();
  void add_states();
  void add_state(State state, const at::Tensor& weights);
  std::vector<at::Tensor> summed_gradients();
  double norm_of(const std::vector<at::Tensor>& gradients) const;
  void apply(std::vector<at::Tensor> gradients, double grad_norm, double lr);
  void apply_rule(const UpdateRule& rule, std::vector<at::Tensor>& gradients, double lr);
  void take_directions(const UpdateRule& rule, std::vector<at::Tensor>& gradients);
  void take_own_pieces(const UpdateRule& rule, size_t bucket, const Piece& piece, const at::Tensor& whole,
                       std::vector<at::Tensor>& gradients);
  // What an update needs of one part of the state, on the device.
  struct Brought {
    bool kept;
    bool masters;
  };
  using Work = std::function<void(std::vector<UpdateItem>&)>;
  void in_parts(const std::vector<size_t>& states, const std::vector<at::Tensor>& gradients, Brought brought,
                const Work& work);
  size_t end_of_part(const std::vector<size_t>& states, size_t first) const;
  void work_on(const std::vector<size_t>& part, const std::vector<at::Tensor>& gradients, Brought brought,
               const Work& work);
  void write_copies(const std::vector<size_t>& states, const std::vector<at::Tensor>& masters);
  void gather_shards();
  void start_gather(int64_t layer);
  void finish_gather(int64_t layer);
  void release(int64_t layer);
  const std::vector<size_t>& buckets_of(int64_t layer) const;
  std::string name_of(const State& state) const;

  OptimizerConfig config_;
  OptimizerOptions options_;
  std::vector<std::unique_ptr<UpdateRule>> rules_;
  std::vector<Parameter> parameters_;
  std::vector<Bucket> buckets_;                     // several ranks
  std::vector<std::vector<size_t>> layer_buckets_;  // by layer
  std::unique_ptr<GradientReducer> reducer_;        // several ranks
  std::unique_ptr<ShardedWeights> weights_;         // split state
  std::vector<State> states_;
  bool last_pass_ = false;  // under way
  bool released_ = false;
  int64_t updates_ = 0;
  int64_t consecutive_skips_ = 0;
};

}  // namespace grpo::optim
