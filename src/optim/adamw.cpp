#include "grpo/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <array>
#include <cmath>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/optim/gradient_norm.h"
#include "grpo/optim/schedule.h"
#include "optim/buckets.h"

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

at::Tensor elements(const at::Tensor& tensor, int64_t begin, int64_t size) { return tensor.view(-1).narrow(0, begin, size); }

}  // namespace

AdamW::AdamW(NamedTensors parameters, OptimizerConfig config, AdamWOptions options)
    : config_(std::move(config)), options_(std::move(options)) {
  validate(config_);
  if (!options_.decays) {
    options_.decays = [all = config_.decay_norms_and_biases](const std::string&, const at::Tensor& parameter) {
      return all || parameter.dim() >= 2;
    };
  }
  GRPO_CHECK(!is_split() || options_.communicator != nullptr, "split state needs ranks");
  for (auto& [name, parameter] : parameters) {
    GRPO_CHECK(parameter.is_leaf() && parameter.is_floating_point() && parameter.is_contiguous(), name, ": ", parameter.sizes(), " ",
               parameter.scalar_type(), " must be a contiguous floating leaf");
    const bool decays = options_.decays(name, parameter);
    parameters_.push_back({.name = std::move(name), .tensor = std::move(parameter), .gradient = {}, .decays = decays});
  }
  add_states();
}

AdamW::~AdamW() = default;

void AdamW::add_states() {
  const auto add = [this](size_t index, int64_t begin, const at::Tensor& weights) {
    State state{.parameter = index, .begin = begin, .master = weights.to(at::kFloat), .exp_avg = {}, .exp_avg_sq = {}, .gradient = {}};
    state.exp_avg = at::zeros_like(state.master);
    state.exp_avg_sq = at::zeros_like(state.master);
    states_.push_back(std::move(state));
  };
  if (!is_split()) {
    for (size_t i = 0; i < parameters_.size(); ++i) add(i, 0, parameters_[i].tensor.detach());
    return;
  }
  std::vector<int64_t> sizes;
  for (const Parameter& parameter : parameters_) {
    GRPO_CHECK(parameter.tensor.scalar_type() == parameters_[0].tensor.scalar_type(), parameter.name, ": split state needs one dtype");
    sizes.push_back(parameter.tensor.numel());
  }
  buckets_ = make_buckets(sizes, options_.communicator->rank(), options_.communicator->size(), options_.bucket_elements);
  for (const Bucket& bucket : buckets_) {
    for (const Piece& piece : bucket.owned) {
      add(piece.parameter, piece.begin, elements(parameters_[piece.parameter].tensor.detach(), piece.begin, piece.size));
    }
  }
}

void AdamW::accumulate() {
  const at::NoGradGuard no_grad;
  if (options_.sharding == StateSharding::kGradients) return accumulate_scattered();
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

void AdamW::accumulate_scattered() {
  auto pieces = scattered_gradients();
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].gradient.defined()) {
      states_[i].gradient.add_(pieces[i]);
    } else {
      states_[i].gradient = std::move(pieces[i]);
    }
  }
  for (Parameter& parameter : parameters_) parameter.tensor.mutable_grad().reset();
}

void AdamW::zero_grad() {
  for (Parameter& parameter : parameters_) {
    parameter.gradient.reset();
    parameter.tensor.mutable_grad().reset();
  }
  for (State& state : states_) state.gradient.reset();
}

// The fp32 sum of this rank so far; undefined when there is none.
at::Tensor AdamW::gradient_of(const Parameter& parameter) const {
  const at::Tensor& sum = parameter.gradient.defined() ? parameter.gradient : parameter.tensor.grad();
  return sum.defined() ? sum.detach().to(at::kFloat).contiguous() : at::Tensor();
}

// Whole gradients, the same on every rank.
std::vector<at::Tensor> AdamW::summed_gradients() {
  std::vector<at::Tensor> gradients;
  for (const Parameter& parameter : parameters_) {
    const auto sum = gradient_of(parameter);
    gradients.push_back(sum.defined() ? sum : at::zeros_like(parameter.tensor.detach(), at::kFloat));
    if (options_.communicator != nullptr) options_.communicator->all_reduce_sum(gradients.back());
  }
  return gradients;
}

// Of each state's piece, summed over ranks.
std::vector<at::Tensor> AdamW::scattered_gradients() {
  std::vector<at::Tensor> gradients;
  for (const Bucket& bucket : buckets_) {
    const auto options = parameters_[0].tensor.options().dtype(at::kFloat).requires_grad(false);
    auto all = at::zeros({bucket.shard * options_.communicator->size()}, options);
    for (const Piece& piece : bucket.pieces) {
      const auto sum = gradient_of(parameters_[piece.parameter]);
      if (sum.defined()) all.narrow(0, piece.offset, piece.size).copy_(elements(sum, piece.begin, piece.size));
    }
    auto own = at::empty({bucket.shard}, options);
    options_.communicator->reduce_scatter_sum(own, all);
    for (const Piece& piece : bucket.owned) gradients.push_back(own.narrow(0, piece.offset, piece.size));
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

UpdateResult AdamW::step(int64_t total_updates, double gradient_scale) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  if (options_.sharding == StateSharding::kGradients) {
    for (const State& state : states_) gradients.push_back(state.gradient.defined() ? state.gradient : at::zeros_like(state.master));
  } else {
    accumulate();
    gradients = is_split() ? scattered_gradients() : summed_gradients();
  }
  if (gradient_scale != 1.0) at::_foreach_mul_(gradients, gradient_scale);
  UpdateResult result{.grad_norm = norm_of(gradients), .lr = config_.lr * lr_factor(config_, updates_, total_updates), .applied = false};
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
  std::array<FusedGroup, 2> groups;  // by Parameter::decays
  for (size_t i = 0; i < states_.size(); ++i) {
    State& state = states_[i];
    FusedGroup& group = groups.at(parameters_[state.parameter].decays ? 1 : 0);
    group.masters.push_back(state.master);
    group.gradients.push_back(gradients[i]);
    group.exp_avgs.push_back(state.exp_avg);
    group.exp_avg_sqs.push_back(state.exp_avg_sq);
    group.steps.push_back(at::full({}, static_cast<double>(updates_), state.master.options()));
  }
  fused_adamw(groups[0], config_, lr, 0.0);
  fused_adamw(groups[1], config_, lr, config_.weight_decay);
  write_back();
}

void AdamW::write_back() {
  const at::NoGradGuard no_grad;
  if (is_split()) return gather_weights();
  for (const State& state : states_) {
    Parameter& parameter = parameters_[state.parameter];
    if (has_copy(parameter)) parameter.tensor.copy_(state.master);
  }
}

// Every rank's updated pieces, in the working dtype.
void AdamW::gather_weights() {
  size_t next = 0;
  for (const Bucket& bucket : buckets_) {
    const auto options = parameters_[0].tensor.options().requires_grad(false);
    auto own = at::zeros({bucket.shard}, options);
    for (const Piece& piece : bucket.owned) own.narrow(0, piece.offset, piece.size).copy_(states_[next++].master);
    auto all = at::empty({bucket.shard * options_.communicator->size()}, options);
    options_.communicator->all_gather_into(all, own);
    for (const Piece& piece : bucket.pieces) {
      elements(parameters_[piece.parameter].tensor.detach(), piece.begin, piece.size).copy_(all.narrow(0, piece.offset, piece.size));
    }
  }
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
    if (masters) fill("master.", state.master);
  }
}

void AdamW::restore(int64_t updates, int64_t consecutive_skips) {
  updates_ = updates;
  consecutive_skips_ = consecutive_skips;
  write_back();
}

}  // namespace grpo::optim
