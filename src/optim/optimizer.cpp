#include "grpo/optim/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/optim/gradient_norm.h"
#include "grpo/optim/schedule.h"
#include "optim/buckets.h"
#include "optim/gradient_reducer.h"
#include "optim/sharded_weights.h"
#include "optim/update_rule.h"

namespace grpo::optim {
namespace {

at::Tensor elements(const at::Tensor& tensor, int64_t begin, int64_t size) {
  return tensor.view(-1).narrow(0, begin, size);
}

// The list is empty on a rank that owns no part of what is trained, which LibTorch would refuse.
void multiply(std::vector<at::Tensor>& tensors, double factor) {
  if (factor != 1.0 && !tensors.empty()) at::_foreach_mul_(tensors, factor);
}

// Gradients that a pass computed on another stream lie in memory of that stream. Without this call the allocator may
// reuse the memory as soon as the gradients are dropped here, although the step that reads them has only been launched.
void keep_until_read(const std::vector<at::Tensor>& gradients) {
  for (const at::Tensor& gradient : gradients) {
    if (!gradient.is_cuda()) return;
    gradient.record_stream(c10::impl::VirtualGuardImpl(gradient.device().type()).getStream(gradient.device()));
  }
}

// Muon is for the matrices of layers, which map vectors to vectors. Each row of an embedding or of the head belongs to
// a single token, and AdamW serves these better.
bool is_layer_matrix(const at::Tensor& parameter, const std::vector<int64_t>& layers, size_t index) {
  return parameter.dim() == 2 && (layers.empty() || layers[index] >= 0);
}

}  // namespace

Optimizer::Optimizer(NamedTensors parameters, OptimizerConfig config, OptimizerOptions options)
    : config_(std::move(config)), options_(std::move(options)) {
  validate(config_);
  if (!options_.decays) {
    options_.decays = [all = config_.decay_norms_and_biases](const std::string&, const at::Tensor& parameter) {
      return all || parameter.dim() >= 2;
    };
  }
  GRPO_CHECK(!is_split() || has_ranks(), "split state needs ranks");
  rules_.push_back(make_adamw(config_));
  if (config_.kind == OptimizerKind::kMuon) rules_.push_back(make_muon(config_));
  for (auto& [name, parameter] : parameters) {
    GRPO_CHECK(parameter.is_leaf() && parameter.is_floating_point() && parameter.is_contiguous(), name, ": ",
               parameter.sizes(), " ", parameter.scalar_type(), " must be a contiguous floating leaf");
    const bool decays = options_.decays(name, parameter);
    const bool matrix = is_layer_matrix(parameter, options_.layers, parameters_.size());
    parameters_.push_back({.name = std::move(name),
                           .tensor = std::move(parameter),
                           .gradient = {},
                           .decays = decays,
                           .rule = matrix ? rules_.back().get() : rules_.front().get()});
  }
  if (has_ranks()) lay_out();
  add_states();
}

Optimizer::~Optimizer() = default;

void Optimizer::lay_out() {
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

void Optimizer::add_state(State state, const at::Tensor& weights) {
  state.master = weights.to(at::kFloat);
  state.has_own_master = !state.master.is_alias_of(weights);
  const auto place =
      options_.offload ? weights.options().device(at::kCPU).pinned_memory(weights.is_cuda()) : weights.options();
  const auto zeros = [&] { return at::zeros(state.master.sizes(), place.dtype(at::kFloat)); };
  if (options_.offload && state.has_own_master) state.master = zeros().copy_(state.master);
  for (size_t i = 0; i < parameters_[state.parameter].rule->state_names().size(); ++i) state.kept.push_back(zeros());
  states_.push_back(std::move(state));
}

void Optimizer::add_states() {
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

const std::vector<size_t>& Optimizer::buckets_of(int64_t layer) const {
  static const std::vector<size_t> none;  // for layers that are frozen
  GRPO_CHECK(layer >= 0, "layer ", layer);
  return layer < static_cast<int64_t>(layer_buckets_.size()) ? layer_buckets_[static_cast<size_t>(layer)] : none;
}

void Optimizer::begin_pass(bool last) { last_pass_ = last; }

void Optimizer::accumulate() {
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

void Optimizer::idle_pass() {
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

// Gathers the weights of this layer and starts to gather those of the next one, which then
// arrive while this layer computes.
void Optimizer::before_layer_forward(int64_t layer) {
  if (!released_) return;
  const at::NoGradGuard no_grad;
  start_gather(layer);
  finish_gather(layer);
  if (layer + 1 < static_cast<int64_t>(layer_buckets_.size())) start_gather(layer + 1);
}

void Optimizer::after_layer_forward(int64_t layer) {
  if (released_) release(layer);
}

void Optimizer::before_layer_backward(int64_t layer) {
  if (!released_) return;
  const at::NoGradGuard no_grad;
  start_gather(layer);
  finish_gather(layer);
  if (layer > 0) start_gather(layer - 1);
}

void Optimizer::after_layer_backward(int64_t layer) {
  const at::NoGradGuard no_grad;
  if (has_ranks() && (splits_gradients() || last_pass_)) {
    for (const size_t bucket : buckets_of(layer)) reducer_->start(bucket);
  }
  if (released_) release(layer);
}

void Optimizer::start_reduction() {
  const at::NoGradGuard no_grad;
  if (has_ranks() && !splits_gradients()) reducer_->start_rest();
}

void Optimizer::start_gather(int64_t layer) {
  for (const size_t bucket : buckets_of(layer)) weights_->start_gather(bucket);
}

void Optimizer::finish_gather(int64_t layer) {
  for (const size_t bucket : buckets_of(layer)) weights_->finish_gather(bucket);
}

void Optimizer::release(int64_t layer) {
  for (const size_t bucket : buckets_of(layer)) weights_->release(bucket);
}

void Optimizer::release_weights() {
  if (!splits_weights() || released_) return;
  released_ = true;
  for (size_t layer = 0; layer < layer_buckets_.size(); ++layer) release(static_cast<int64_t>(layer));
}

void Optimizer::gather_weights() {
  if (!released_) return;
  const at::NoGradGuard no_grad;
  const auto layers = static_cast<int64_t>(layer_buckets_.size());
  for (int64_t layer = 0; layer < layers; ++layer) before_layer_forward(layer);
  released_ = false;
}

void Optimizer::zero_grad() {
  if (has_ranks()) reducer_->clear();
  for (Parameter& parameter : parameters_) {
    parameter.gradient.reset();
    parameter.tensor.mutable_grad().reset();
  }
}

// The gradient of each state, summed over all passes and ranks.
std::vector<at::Tensor> Optimizer::summed_gradients() {
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

double Optimizer::norm_of(const std::vector<at::Tensor>& gradients) const {
  const double norm = gradient_norm(gradients);
  if (!is_split()) return norm;
  auto squares = at::tensor({norm * norm}, at::kDouble);
  options_.communicator->all_reduce_sum(squares);
  return std::sqrt(squares.item<double>());
}

bool Optimizer::can_drop_alone() const {
  return !splits_gradients() && (reducer_ == nullptr || !reducer_->has_started());
}

UpdateResult Optimizer::step(int64_t total_updates, double gradient_scale) {
  const at::NoGradGuard no_grad;
  auto gradients = summed_gradients();
  keep_until_read(gradients);
  multiply(gradients, gradient_scale);
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

void Optimizer::apply(std::vector<at::Tensor> gradients, double grad_norm, double lr) {
  multiply(gradients, clip_scale(grad_norm, config_.clip_grad_norm.value_or(0.0)));
  ++updates_;
  consecutive_skips_ = 0;
  for (const auto& rule : rules_) apply_rule(*rule, gradients, lr);
  if (is_split()) gather_shards();
}

void Optimizer::apply_rule(const UpdateRule& rule, std::vector<at::Tensor>& gradients, double lr) {
  std::vector<size_t> states;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (parameters_[states_[i].parameter].rule == &rule) states.push_back(i);
  }
  const bool in_two = rule.reads_whole_matrices();
  if (in_two) {
    in_parts(states, gradients, {.kept = true, .masters = false},
             [&](std::vector<UpdateItem>& items) { rule.prepare(items); });
    take_directions(rule, gradients);
  }
  in_parts(states, gradients, {.kept = !in_two, .masters = true},
           [&](std::vector<UpdateItem>& items) { rule.apply(items, lr, updates_); });
}

// Replaces what prepare() left in the gradients by the direction that the rule takes, matrix by matrix.
void Optimizer::take_directions(const UpdateRule& rule, std::vector<at::Tensor>& gradients) {
  if (!is_split()) {
    for (size_t i = 0; i < states_.size(); ++i) {
      if (parameters_[states_[i].parameter].rule == &rule) gradients[i].copy_(rule.direction(gradients[i]));
    }
    return;
  }
  for (size_t b = 0; b < buckets_.size(); ++b) {
    const auto& pieces = buckets_[b].pieces;
    if (std::none_of(pieces.begin(), pieces.end(),
                     [&](const Piece& piece) { return parameters_[piece.parameter].rule == &rule; }))
      continue;
    const at::Tensor& own = reducer_->results()[b];
    const auto whole = at::empty({buckets_[b].shard * options_.communicator->size()}, own.options());
    options_.communicator->start_all_gather_into(whole, own)->wait();
    for (const Piece& piece : pieces) take_own_pieces(rule, b, piece, whole, gradients);
  }
}

// Copies this rank's parts of a parameter's direction into `gradients`. `whole` holds all elements of the bucket;
// `piece` is the parameter's place in it.
void Optimizer::take_own_pieces(const UpdateRule& rule, size_t bucket, const Piece& piece, const at::Tensor& whole,
                                std::vector<at::Tensor>& gradients) {
  const Parameter& parameter = parameters_[piece.parameter];
  if (parameter.rule != &rule) return;
  for (size_t i = 0; i < states_.size(); ++i) {
    const State& state = states_[i];
    if (state.bucket != bucket || state.parameter != piece.parameter) continue;
    const auto direction = rule.direction(whole.narrow(0, piece.offset, piece.size).view(parameter.tensor.sizes()));
    gradients[i].copy_(direction.reshape({-1}).narrow(0, state.begin, gradients[i].numel()));
  }
}

// The end of the part that begins at `first`: states[first, end) are on the device at the same time.
size_t Optimizer::end_of_part(const std::vector<size_t>& states, size_t first) const {
  if (!options_.offload) return states.size();
  int64_t elements = 0;
  size_t last = first;
  while (last < states.size() &&
         (last == first || elements + states_[states[last]].master.numel() <= options_.offload_elements)) {
    elements += states_[states[last++]].master.numel();
  }
  return last;
}

void Optimizer::in_parts(const std::vector<size_t>& states, const std::vector<at::Tensor>& gradients, Brought brought,
                         const Work& work) {
  for (size_t first = 0; first < states.size();) {
    const size_t last = end_of_part(states, first);
    const std::vector<size_t> part(states.begin() + static_cast<std::ptrdiff_t>(first),
                                   states.begin() + static_cast<std::ptrdiff_t>(last));
    work_on(part, gradients, brought, work);
    first = last;
  }
}

void Optimizer::work_on(const std::vector<size_t>& part, const std::vector<at::Tensor>& gradients, Brought brought,
                        const Work& work) {
  std::vector<at::Tensor> used, stays;  // the copies on the device, and where their originals are kept
  const auto on_device = [&](const at::Tensor& tensor, bool away) {
    if (!away) return tensor;
    used.push_back(tensor.to(parameters_[0].tensor.device(), /*non_blocking=*/true, /*copy=*/true));
    stays.push_back(tensor);
    return used.back();
  };
  std::vector<UpdateItem> items;
  std::vector<at::Tensor> masters;
  for (const size_t i : part) {
    const State& state = states_[i];
    UpdateItem item{.master = {}, .gradient = gradients[i], .state = {}, .decays = parameters_[state.parameter].decays};
    if (brought.masters)
      masters.push_back(item.master = on_device(state.master, options_.offload && state.has_own_master));
    for (const at::Tensor& kept : state.kept) {
      if (brought.kept) item.state.push_back(on_device(kept, options_.offload));
    }
    items.push_back(std::move(item));
  }
  work(items);
  if (brought.masters) write_copies(part, masters);
  // Only the last copy waits for the device; the copies before it are then done as well.
  for (size_t i = 0; i < used.size(); ++i) stays[i].copy_(used[i], /*non_blocking=*/i + 1 < used.size());
}

// Rounds the working weights of these states, or this rank's shards of them, from their masters.
void Optimizer::write_copies(const std::vector<size_t>& states, const std::vector<at::Tensor>& masters) {
  std::vector<at::Tensor> copies, sources;
  for (size_t i = 0; i < masters.size(); ++i) {
    const State& state = states_[states[i]];
    const at::Tensor& parameter = parameters_[state.parameter].tensor;
    const auto copy =
        is_split() ? weights_->own(state.bucket).narrow(0, state.offset, masters[i].numel()) : parameter.detach();
    if (copy.is_alias_of(masters[i])) continue;
    copies.push_back(copy);
    sources.push_back(masters[i]);
  }
  if (!copies.empty()) at::_foreach_copy_(copies, sources);
}

// Sends every rank's updated shards to all ranks. Layers whose weights are freed are
// gathered when they are next needed.
void Optimizer::gather_shards() {
  std::vector<size_t> needed;
  for (size_t b = 0; b < buckets_.size(); ++b) {
    weights_->own(b);  // marks the bucket as out of date, even if this rank owns only padding
    if (!released_ || buckets_[b].layer < 0) needed.push_back(b);
  }
  for (const size_t b : needed) weights_->start_gather(b);
  for (const size_t b : needed) weights_->finish_gather(b);
}

std::string Optimizer::name_of(const State& state) const {
  const std::string& name = parameters_[state.parameter].name;
  return is_split() ? base::concat(name, ":", state.begin) : name;
}

NamedTensors Optimizer::state_tensors(bool masters) const {
  NamedTensors tensors;
  for (const State& state : states_) {
    const auto& names = parameters_[state.parameter].rule->state_names();
    for (size_t i = 0; i < names.size(); ++i) tensors.emplace_back(names[i] + "." + name_of(state), state.kept[i]);
    if (masters) tensors.emplace_back("master." + name_of(state), state.master);
  }
  return tensors;
}

void Optimizer::read_state(const ReadState& read, bool masters) {
  const at::NoGradGuard no_grad;
  for (State& state : states_) {
    const Parameter& parameter = parameters_[state.parameter];
    const auto fill = [&](const std::string& kind, const at::Tensor& target) {
      auto flat = target.view(-1);
      read(kind + "." + parameter.name, parameter.tensor.sizes(), state.begin, flat);
    };
    for (size_t i = 0; i < state.kept.size(); ++i) fill(parameter.rule->state_names()[i], state.kept[i]);
    if (masters)
      fill("master", state.master);
    else if (!state.master.is_alias_of(parameter.tensor))
      state.master.view(-1).copy_(elements(parameter.tensor.detach(), state.begin, state.master.numel()));
  }
}

void Optimizer::restore(int64_t updates, int64_t consecutive_skips) {
  updates_ = updates;
  consecutive_skips_ = consecutive_skips;
  const at::NoGradGuard no_grad;
  std::vector<size_t> all(states_.size());
  std::iota(all.begin(), all.end(), size_t{0});
  std::vector<at::Tensor> masters;
  for (const State& state : states_) masters.push_back(state.master);
  write_copies(all, masters);
  if (is_split()) gather_shards();
}

}  // namespace grpo::optim
