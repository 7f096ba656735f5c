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
  double grad_norm = 0.0;  // global L2 norm before clipping; not finite if the update was skipped
  double lr = 0.0;         // learning rate of this update
  bool applied = false;
};

/// What the ranks divide among them instead of each holding all of it (ZeRO, arXiv 1910.02054).
enum class StateSharding {
  kNone,       // gradients are summed over ranks; each rank takes the same step
  kOptimizer,  // masters and moments; gradients are reduce-scattered once a step, weights gathered after it
  kGradients,  // also the fp32 gradient sums: gradients are reduce-scattered in each backward pass
  kWeights,    // also the layers' weights, between release_weights() and gather_weights()
};

struct OptimizerOptions {
  /// Whether a parameter decays. If this is empty, parameters of two or more dimensions do (matrices and embeddings,
  /// but not norms and biases), or all with OptimizerConfig::decay_norms_and_biases.
  std::function<bool(const std::string& name, const at::Tensor& parameter)> decays = {};
  /// The ranks whose gradients are summed before each step. All ranks hold the same parameters. The communicator must
  /// outlive the optimizer; null means one rank.
  dist::Communicator* communicator = nullptr;
  StateSharding sharding = StateSharding::kNone;  // must be kNone with one rank
  at::ScalarType reduce_dtype = at::kFloat;       // or bf16: the dtype in which gradients are sent
  /// The layer of each parameter, from 0; -1 for a parameter outside of layers. An empty list
  /// means that there are no layers.
  std::vector<int64_t> layers = {};
  /// Keeps masters and moments in host memory (page-locked beside a GPU). A step brings them to the parameters' device
  /// in parts of offload_elements elements, or of one parameter if that is larger. Masters that are fp32 parameters
  /// themselves stay on the device.
  bool offload = false;
  int64_t offload_elements = int64_t{1} << 26;
};

/// Updates fp32 master weights from gradients that are added up over micro-batches and ranks. t counts applied updates
/// from 1; g is the clipped gradient:
///   g <- g min(1, clip / (|g| + 1e-6))                      |g|: L2 norm over all parameters and ranks
/// AdamW (arXiv 1711.05101):
///   w <- w (1 - lr decay)                                    parameters that decay
///   m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
///   w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
/// Muon (https://kellerjordan.github.io/posts/muon; the factor 0.2 and the decay of arXiv 2502.16982) for matrices of
/// layers:
///   m <- mu m + g,   u = g + mu m                            u: m after one more step with the same g (Nesterov)
///   o = NS(u): X <- u / |u|_F, then five times X <- 3.4445 X - 4.775 (X X^T) X + 2.0315 (X X^T)^2 X
///   w <- w (1 - lr decay) - lr 0.2 sqrt(max(rows, columns)) o
/// A parameter of a lower dtype has an fp32 master weight and an fp32 gradient sum; after each update it is rounded
/// from its master. An fp32 parameter is its own master, and its .grad is the sum.
///
/// With several ranks everything but the accessors is a collective. A training pass (begin_pass() to accumulate()) is
/// one too: ranks make the same calls in the same order, including those around layers. Parameters that share memory
/// are sent together, along with anything else that lies in it. Gradients are reduced during the backward pass if the
/// calls around layers say when a layer's gradients are complete, and otherwise by step(), with the same result. Muon
/// reads whole matrices, so ranks that divide the state gather u, one bucket at a time in fp32.
class Optimizer {
 public:
  /// `parameters` are contiguous leaves, which step() changes in place. Throws base::ConfigError (validate).
  Optimizer(NamedTensors parameters, OptimizerConfig config, OptimizerOptions options = {});
  ~Optimizer();

  /// To be called before each forward and backward pass. `last`: this is this rank's last pass of the update.
  void begin_pass(bool last);
  /// To be called after a backward pass: adds every .grad to the fp32 sums.
  void accumulate();
  /// Takes part in the collectives of a pass on a rank that has no pass left to run. Without kGradients or kWeights
  /// passes have no such collectives, and this does nothing.
  void idle_pass();

  /// To be called around each layer of a pass; after a layer's backward its gradients are complete. These
  /// calls do nothing with one rank.
  void before_layer_forward(int64_t layer);
  void after_layer_forward(int64_t layer);
  void before_layer_backward(int64_t layer);
  void after_layer_backward(int64_t layer);

  /// May be called after the update's last pass to start the remaining reductions early; otherwise step() starts them.
  void start_reduction();

  /// Clips and applies what was accumulated, including what the last backward pass left in .grad, and clears it.
  /// `total_updates` is the number of updates of the whole run, for the schedule. `gradient_scale` multiplies the
  /// gradients first. A parameter without a gradient counts as having gradient 0. If the norm is not finite,
  /// weights, moments and the count of updates stay as they are; consecutive_skips() counts the skip and a warning
  /// is logged. All ranks see the same norm.
  UpdateResult step(int64_t total_updates, double gradient_scale = 1.0);

  /// Drops all gradients that were not applied.
  void zero_grad();

  /// With kWeights: frees the layers' weights except this rank's shards; passes then gather each layer when they need
  /// it. Views of the weights stay valid, but their memory exists only during passes and after gather_weights().
  /// Without kWeights this does nothing.
  void release_weights();
  void gather_weights();

  /// Whether this rank sends gradients to the others in the next pass. If so it cannot drop
  /// its gradients alone afterwards.
  bool sends_in_pass(bool last) const { return has_ranks() && (splits_gradients() || last); }
  /// Whether this rank may drop its gradients and begin again while the other ranks go on,
  /// because none of them has been sent.
  bool can_drop_alone() const;

  int64_t updates() const { return updates_; }                      // how many have been applied
  int64_t consecutive_skips() const { return consecutive_skips_; }  // skipped updates since the last applied one

  /// The state of the rules, all fp32: `exp_avg.<name>` and `exp_avg_sq.<name>`, or `momentum_buffer.<name>`. With
  /// `masters` also `master.<name>`; an fp32 parameter is its own master. The tensors share the optimizer's memory:
  /// writing into them and then calling restore() restores a run bit for bit. If ranks divide the state, these are this
  /// rank's flat pieces, named `exp_avg.<name>:<index of the first element>`.
  NamedTensors state_tensors(bool masters) const;

  /// Fills `target`, a flat tensor, with the elements [begin, begin + target.numel()) of the flattened tensor `name`
  /// (such as `exp_avg.<parameter>`), whose whole shape is `shape`.
  using ReadState =
      std::function<void(const std::string& name, at::IntArrayRef shape, int64_t begin, at::Tensor& target)>;
  /// Restores moments and, with `masters`, master weights from any source, however it was divided. Without `masters`
  /// the master weights are taken from the parameters. restore() must follow.
  void read_state(const ReadState& read, bool masters);

  /// Sets the counters and rounds parameters of a lower dtype from their masters again. A
  /// collective if ranks divide the state.
  void restore(int64_t updates, int64_t consecutive_skips);

 private:
  struct Parameter {
    std::string name;
    at::Tensor tensor;
    // The fp32 sum of a parameter of lower dtype; undefined before accumulate(). Used with one rank only.
    at::Tensor gradient;
    bool decays = false;
    const UpdateRule* rule = nullptr;
  };
  // What this rank updates at once: a whole parameter in its shape, or a flat piece of one.
  struct State {
    size_t parameter = 0;
    int64_t begin = 0;
    size_t bucket = 0;  // with several ranks: where its gradient is among the reduced ones
    int64_t offset = 0;
    at::Tensor master;             // fp32; shares the memory of an fp32 parameter or of its shard
    std::vector<at::Tensor> kept;  // in the order of the rule's state_names()
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
  // Which tensors of the state an update needs on the device.
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
  std::vector<Bucket> buckets_;                     // with several ranks
  std::vector<std::vector<size_t>> layer_buckets_;  // the buckets of each layer
  std::unique_ptr<GradientReducer> reducer_;        // with several ranks
  std::unique_ptr<ShardedWeights> weights_;         // if ranks divide the state
  std::vector<State> states_;
  bool last_pass_ = false;  // whether the pass under way is this rank's last one of the update
  bool released_ = false;
  int64_t updates_ = 0;
  int64_t consecutive_skips_ = 0;
};

}  // namespace grpo::optim
