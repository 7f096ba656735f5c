#include "grpo/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/optim/gradient_norm.h"
#include "grpo/optim/schedule.h"
#include "optim/buckets.h"
#include "optim/gradient_reducer.h"
#include "optim/sharded_weights.h"

namespace grpo::optim {
namespace {

// The arguments of one fused call: parameters that share a weight decay.
struct FusedGroup {
  std::vector<at::Tensor> masters, gradients, exp_avgs, exp_avg_sqs, steps;
};

void fused_adamw(FusedGroup& group, const OptimizerConfig& config, double lr, double weight_decay) {
  if (group.masters.empty()) return;
  at::_fused_adamw_(group.masters, group.gradients, group.exp_avgs, group.exp_avg_sqs, /*max_exp_avg_sqs=*/{},
                    group.steps, lr, config.betas[0], config.betas[1], weight_decay, config.eps, /*amsgrad=*/false,
                    /*maximize=*/false);
}

at::Tensor elements(const at::Tensor& tensor, int64_t begin, int64_t size) {
  return tensor.view(-1).narrow(0, begin, size);
}

// Gradients of a pass on another stream are that stream's memory: without this its allocator may hand them out again as
// soon as they are dropped, while the step here is only launched.
void keep_until_read(const std::vector<at::Tensor>& gradients) {
  for (const at::Tensor& gradient : gradients) {
    if (!gradient.is_cuda()) return;
    gradient.record_stream(c10::impl::VirtualGuardImpl(gradient.device().type()).getStream(gradient.device()));
  }
}

}  // namespace

AdamW::AdamW(NamedTensors parameters, OptimizerConfig config, AdamWOptions options)
    : config_(std::move(config)), options_(std::move(options)) {
  validate(config_);
  if (!options_.decays) {
    options_.decays = [all = config_.decay_norms_and_biases](const std::string&, const at::Tensor& parameter) {
      return all || parameter.dim() >= 2;
    };
  }
  GRPO_CHECK(!is_split() || has_ranks(), "split state needs ranks");
  for (auto& [name, parameter] : parameters) {
    GRPO_CHECK(parameter.is_leaf() && parameter.is_floating_point() && parameter.is_contiguous(), name, ": ",
               parameter.sizes(), " ", parameter.scalar_type(), " must be a contiguous floating leaf");
    const bool decays = options_.decays(name, parameter);
    parameters_.push_back({.name = std::move(name), .tensor = std::move(parameter), .gradient = {}, .decays = decays});
  }
  if (has_ranks()) lay_out();
  add_states();
}

AdamW::~AdamW() = default;

void AdamW::lay_out() {
  std::vector<Placement> placements;
  std::vector<at::Tensor> tensors;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& tensor = parameters_[i].tensor;
    const auto memory = static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size());
    placements.push_back({.memory = tensor.storage().unsafeGetStorageImpl(),
                          .memory_size = memory,
                          .offset = tensor.storage_offset(),
                          .size = tensor.numel(),
                          .layer = options_.layers.empty() ? -1 : options_.layers[i]});
    tensors.push_back(tensor);
  }
  buckets_ = make_buckets(placements, options_.communicator->rank(), options_.communicator->size());
  if (!buckets_.empty()) layer_buckets_.resize(static_cast<size_t>(std::max<int64_t>(buckets_[0].layer + 1, 0)));
  for (size_t b = 0; b < buckets_.size(); ++b) {
    if (buckets_[b].layer >= 0) layer_buckets_[static_cast<size_t>(buckets_[b].layer)].push_back(b);
  }
  reducer_ = std::make_unique<GradientReducer>(
      buckets_, tensors,
      GradientReducer::Options{
          .communicator = options_.communicator,
          .result = is_split() ? GradientReducer::Result::kOwnShard : GradientReducer::Result::kWhole,
          .every_pass = splits_gradients(),
          .dtype = options_.reduce_dtype});
  if (is_split())
    weights_ = std::make_unique<ShardedWeights>(buckets_, tensors, *options_.communicator, splits_weights());
}

void AdamW::add_state(State state, const at::Tensor& weights) {
  state.master = weights.to(at::kFloat);
  state.has_own_master = !state.master.is_alias_of(weights);
  const auto place =
      options_.offload ? weights.options().device(at::kCPU).pinned_memory(weights.is_cuda()) : weights.options();
  const auto zeros = [&] { return at::zeros(state.master.sizes(), place.dtype(at::kFloat)); };
  if (options_.offload && state.has_own_master) state.master = zeros().copy_(state.master);
  state.exp_avg = zeros();
  state.exp_avg_sq = zeros();
  states_.push_back(std::move(state));
}

void AdamW::add_states() {
  if (!has_ranks()) {
    for (size_t i = 0; i < parameters_.size(); ++i) add_state({.parameter = i}, parameters_[i].tensor.detach());
    return;
  }
  for (size_t b = 0; b < buckets_.size(); ++b) {
    for (const Piece& piece : is_split() ? buckets_[b].owned : buckets_[b].pieces) {
      const at::Tensor parameter = parameters_[piece.parameter].tensor.detach();
      const State state{.parameter = piece.parameter, .begin = piece.begin, .bucket = b, .offset = piece.offset};
      if (!is_split())
        add_state(state, parameter);
      else if (splits_weights())
        add_state(state, weights_->own(b).narrow(0, piece.offset, piece.size));
      else
        add_state(state, elements(parameter, piece.begin, piece.size));
    }
  }
}

const std::vector<size_t>& AdamW::buckets_of(int64_t layer) const {
  GRPO_CHECK(layer >= 0 && layer < static_cast<int64_t>(layer_buckets_.size()), "no parameter is in layer ", layer);
  return layer_buckets_[static_cast<size_t>(layer)];
}

void AdamW::begin_pass(bool last) { last_pass_ = last; }

void AdamW::accumulate() {
  const at::NoGradGuard no_grad;
  if (splits_gradients()) {
    reducer_->start_rest();
    reducer_->end_pass();
  } else if (has_ranks()) {
    reducer_->accumulate();
  } else {
    for (Parameter& parameter : parameters_) {
      auto& gradient = parameter.tensor.mutable_grad();
      if (!has_copy(parameter) || !gradient.defined()) continue;
      if (parameter.gradient.defined()) {
        parameter.gradient.add_(gradient);
      } else {
        parameter.gradient = gradient.to(at::kFloat).contiguous();
      }
      gradient.reset();
    }
  }
}

void AdamW::idle_pass() {
  if (!splits_gradients()) return;
  const auto layers = static_cast<int64_t>(layer_buckets_.size());
  begin_pass(/*last=*/false);
  for (int64_t layer = 0; layer < layers; ++layer) {
    before_layer_forward(layer);
    after_layer_forward(layer);
  }
  for (int64_t layer = layers - 1; layer >= 0; --layer) {
    before_layer_backward(layer);
    after_layer_backward(layer);
  }
  accumulate();
}

// The next layer of the pass is gathered while this one computes.
void AdamW::before_layer_forward(int64_t layer) {
  if (!released_) return;
  const at::NoGradGuard no_grad;
  start_gather(layer);
  finish_gather(layer);
  if (layer + 1 < static_cast<int64_t>(layer_buckets_.size())) start_gather(layer + 1);
}

void AdamW::after_layer_forward(int64_t layer) {
  if (released_) release(layer);
}

void AdamW::before_layer_backward(int64_t layer) {
  if (!released_) return;
  const at::NoGradGuard no_grad;
  start_gather(layer);
  finish_gather(layer);
  if (layer > 0) start_gather(layer - 1);
}

void AdamW::after_layer_backward(int64_t layer) {
  const at::NoGradGuard no_grad;
  if (has_ranks() && (splits_gradients() || last_pass_)) {
    for (const size_t bucket : buckets_of(layer)) reducer_->start(bucket);
  }
  if (released_) release(layer);
}

void AdamW::start_reduction() {
  const at::NoGradGuard no_grad;
  if (has_ranks() && !splits_gradients()) reducer_->start_rest();
}

void AdamW::start_gather(int64_t layer) {
  for (const size_t bucket : buckets_of(layer)) weights_->start_gather(bucket);
}

void AdamW::finish_gather(int64_t layer) {
  for (const size_t bucket : buckets_of(layer)) weights_->finish_gather(bucket);
}

void AdamW::release(int64_t layer) {
  for (const size_t bucket : buckets_of(layer)) weights_->release(bucket);
}

void AdamW::release_weights() {
  if (!splits_weights() || released_) return;
  released_ = true;
  for (size_t layer = 0; layer < layer_buckets_.size(); ++layer) release(static_cast<int64_t>(layer));
}

void AdamW::gather_weights() {
  if (!released_) return;
  const at::NoGradGuard no_grad;
  const auto layers = static_cast<int64_t>(layer_buckets_.size());
  for (int64_t layer = 0; layer < layers; ++layer) before_layer_forward(layer);
  released_ = false;
}

void AdamW::zero_grad() {
  if (has_ranks()) reducer_->clear();
  for (Parameter& parameter : parameters_) {
    parameter.gradient.reset();
    parameter.tensor.mutable_grad().reset();
  }
}

// Of each state, over all passes and ranks.
std::vector<at::Tensor> AdamW::summed_gradients() {
  std::vector<at::Tensor> gradients;
  if (has_ranks()) {
    const auto& reduced = reducer_->finish();
    for (const State& state : states_)
      gradients.push_back(reduced[state.bucket].narrow(0, state.offset, state.master.numel()).view_as(state.master));
    return gradients;
  }
  accumulate();
  for (const State& state : states_) {
    const Parameter& parameter = parameters_[state.parameter];
    const at::Tensor sum = parameter.gradient.defined() ? parameter.gradient : parameter.tensor.grad();
    gradients.push_back(sum.defined() ? sum.detach().contiguous()
                                      : at::zeros_like(parameter.tensor.detach(), at::kFloat));
  }
  return gradients;
}

double AdamW::norm_of(const std::vector<at::Tensor>& gradients) const {
  const double norm = gradient_norm(gradients);
  if (!is_split()) return norm;
  auto squares = at::tensor({norm * norm}, at::kDouble);
  options_.communicator->all_reduce_sum(squares);
  return std::sqrt(squares.item<double>());
}

bool AdamW::can_drop_alone() const { return !splits_gradients() && (reducer_ == nullptr || !reducer_->has_started()); }

UpdateResult AdamW::step(int64_t total_updates, double gradient_scale) {
  const at::NoGradGuard no_grad;
  auto gradients = summed_gradients();
  keep_until_read(gradients);
  if (gradient_scale != 1.0) at::_foreach_mul_(gradients, gradient_scale);
  UpdateResult result{.grad_norm = norm_of(gradients),
                      .lr = config_.lr * lr_factor(config_, updates_, total_updates),
                      .applied = false};
  result.applied = std::isfinite(result.grad_norm);
  if (result.applied) {
    apply(std::move(gradients), result.grad_norm, result.lr);
  } else {
    ++consecutive_skips_;
    base::log_warning(base::concat("update ", updates_ + 1, ": the gradient's norm is ", result.grad_norm,
                                   ", so it was skipped (", consecutive_skips_, " in a row)"));
  }
  zero_grad();
  return result;
}

void AdamW::apply(std::vector<at::Tensor> gradients, double grad_norm, double lr) {
  const double scale = clip_scale(grad_norm, config_.clip_grad_norm.value_or(0.0));
  if (scale < 1.0) at::_foreach_mul_(gradients, scale);
  ++updates_;
  consecutive_skips_ = 0;
  for (size_t first = 0; first < states_.size();) {
    const size_t last = end_of_part(first);
    apply_part(first, last, gradients, lr);
    first = last;
  }
  if (is_split()) gather_shards();
}

// What is on the device at a time.
size_t AdamW::end_of_part(size_t first) const {
  if (!options_.offload) return states_.size();
  int64_t elements = 0;
  size_t last = first;
  while (last < states_.size() &&
         (last == first || elements + states_[last].master.numel() <= options_.offload_elements)) {
    elements += states_[last++].master.numel();
  }
  return last;
}

void AdamW::apply_part(size_t first, size_t last, const std::vector<at::Tensor>& gradients, double lr) {
  std::array<FusedGroup, 2> groups;    // by Parameter::decays
  std::vector<at::Tensor> used, kept;  // each tensor of the state as the device has it, and where it stays
  std::vector<at::Tensor> masters;
  const auto on_device = [&](const at::Tensor& tensor, bool away) {
    const auto near = away ? tensor.to(parameters_[0].tensor.device(), /*non_blocking=*/true, /*copy=*/true) : tensor;
    if (away) {
      used.push_back(near);
      kept.push_back(tensor);
    }
    return near;
  };
  const auto counter =
      at::full({}, static_cast<double>(updates_), at::TensorOptions(parameters_[0].tensor.device()).dtype(at::kFloat));
  for (size_t i = first; i < last; ++i) {
    const State& state = states_[i];
    FusedGroup& group = groups.at(parameters_[state.parameter].decays ? 1 : 0);
    masters.push_back(on_device(state.master, options_.offload && state.has_own_master));
    group.masters.push_back(masters.back());
    group.gradients.push_back(gradients[i]);
    group.exp_avgs.push_back(on_device(state.exp_avg, options_.offload));
    group.exp_avg_sqs.push_back(on_device(state.exp_avg_sq, options_.offload));
    group.steps.push_back(counter);
  }
  fused_adamw(groups[0], config_, lr, 0.0);
  fused_adamw(groups[1], config_, lr, config_.weight_decay);
  write_copies(first, masters);
  // The last one waits for the device, and with it for all before it.
  for (size_t i = 0; i < used.size(); ++i) kept[i].copy_(used[i], /*non_blocking=*/i + 1 < used.size());
}

// The working weights of states `first` and on, or this rank's shards of them, from their masters.
void AdamW::write_copies(size_t first, const std::vector<at::Tensor>& masters) {
  std::vector<at::Tensor> copies, sources;
  for (size_t i = 0; i < masters.size(); ++i) {
    const State& state = states_[first + i];
    const at::Tensor& parameter = parameters_[state.parameter].tensor;
    const auto copy =
        is_split() ? weights_->own(state.bucket).narrow(0, state.offset, masters[i].numel()) : parameter.detach();
    if (copy.is_alias_of(masters[i])) continue;
    copies.push_back(copy);
    sources.push_back(masters[i]);
  }
  if (!copies.empty()) at::_foreach_copy_(copies, sources);
}

// Every rank's updated shards go to all; those of freed layers when they are next needed.
void AdamW::gather_shards() {
  std::vector<size_t> needed;
  for (size_t b = 0; b < buckets_.size(); ++b) {
    weights_->own(b);  // a rank may own padding only
    if (!released_ || buckets_[b].layer < 0) needed.push_back(b);
  }
  for (const size_t b : needed) weights_->start_gather(b);
  for (const size_t b : needed) weights_->finish_gather(b);
}

std::string AdamW::name_of(const State& state) const {
  const std::string& name = parameters_[state.parameter].name;
  return is_split() ? base::concat(name, ":", state.begin) : name;
}

NamedTensors AdamW::state_tensors(bool masters) const {
  NamedTensors tensors;
  for (const State& state : states_) {
    tensors.emplace_back("exp_avg." + name_of(state), state.exp_avg);
    tensors.emplace_back("exp_avg_sq." + name_of(state), state.exp_avg_sq);
    if (masters) tensors.emplace_back("master." + name_of(state), state.master);
  }
  return tensors;
}

void AdamW::read_state(const ReadState& read, bool masters) {
  const at::NoGradGuard no_grad;
  for (State& state : states_) {
    const Parameter& parameter = parameters_[state.parameter];
    const auto fill = [&](const char* kind, const at::Tensor& target) {
      auto flat = target.view(-1);
      read(kind + parameter.name, parameter.tensor.sizes(), state.begin, flat);
    };
    fill("exp_avg.", state.exp_avg);
    fill("exp_avg_sq.", state.exp_avg_sq);
    if (masters)
      fill("master.", state.master);
    else if (!state.master.is_alias_of(parameter.tensor))
      state.master.view(-1).copy_(elements(parameter.tensor.detach(), state.begin, state.master.numel()));
  }
}

void AdamW::restore(int64_t updates, int64_t consecutive_skips) {
  updates_ = updates;
  consecutive_skips_ = consecutive_skips;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> masters;
  for (const State& state : states_) masters.push_back(state.master);
  write_copies(0, masters);
  if (is_split()) gather_shards();
}

}  // namespace grpo::optim
