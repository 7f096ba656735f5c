#include "grpo/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <array>
#include <cmath>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/optim/gradient_norm.h"
#include "grpo/optim/schedule.h"

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

}  // namespace

AdamW::AdamW(NamedTensors parameters, OptimizerConfig config, AdamWOptions options)
    : config_(std::move(config)), options_(std::move(options)) {
  validate(config_);
  if (!options_.decays) {
    options_.decays = [all = config_.decay_norms_and_biases](const std::string&, const at::Tensor& parameter) {
      return all || parameter.dim() >= 2;
    };
  }
  for (auto& [name, parameter] : parameters) slots_.push_back(make_slot(std::move(name), std::move(parameter)));
}

AdamW::Slot AdamW::make_slot(std::string name, at::Tensor parameter) const {
  GRPO_CHECK(parameter.is_leaf() && parameter.is_floating_point() && parameter.is_contiguous(), name, ": ",
             parameter.sizes(), " ", parameter.scalar_type(), " must be a contiguous floating leaf");
  Slot slot;
  slot.decays = options_.decays(name, parameter);
  slot.master = parameter.detach().to(at::kFloat);  // the same memory for fp32
  slot.exp_avg = at::zeros_like(slot.master);
  slot.exp_avg_sq = at::zeros_like(slot.master);
  slot.name = std::move(name);
  slot.parameter = std::move(parameter);
  return slot;
}

void AdamW::accumulate() {
  const at::NoGradGuard no_grad;
  for (Slot& slot : slots_) {
    auto& gradient = slot.parameter.mutable_grad();
    if (!slot.has_copy() || !gradient.defined()) continue;
    if (slot.gradient.defined()) {
      slot.gradient.add_(gradient);
    } else {
      slot.gradient = gradient.to(at::kFloat).contiguous();
    }
    gradient.reset();
  }
}

void AdamW::zero_grad() {
  for (Slot& slot : slots_) {
    slot.gradient.reset();
    slot.parameter.mutable_grad().reset();
  }
}

std::vector<at::Tensor> AdamW::reduced_gradients() {
  std::vector<at::Tensor> gradients;
  for (Slot& slot : slots_) {
    const at::Tensor& sum = slot.has_copy() ? slot.gradient : slot.parameter.grad();
    gradients.push_back(sum.defined() ? sum.detach().contiguous() : at::zeros_like(slot.master));
    if (options_.communicator != nullptr) options_.communicator->all_reduce_sum(gradients.back());
  }
  return gradients;
}

UpdateResult AdamW::step(int64_t total_updates) {
  const at::NoGradGuard no_grad;
  accumulate();
  auto gradients = reduced_gradients();
  UpdateResult result{.grad_norm = gradient_norm(gradients),
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
  std::array<FusedGroup, 2> groups;  // by Slot::decays
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    FusedGroup& group = groups.at(slot.decays ? 1 : 0);
    group.masters.push_back(slot.master);
    group.gradients.push_back(gradients[i]);
    group.exp_avgs.push_back(slot.exp_avg);
    group.exp_avg_sqs.push_back(slot.exp_avg_sq);
    group.steps.push_back(at::full({}, static_cast<double>(updates_), slot.master.options()));
  }
  fused_adamw(groups[0], config_, lr, 0.0);
  fused_adamw(groups[1], config_, lr, config_.weight_decay);
  write_back();
}

void AdamW::write_back() {
  const at::NoGradGuard no_grad;
  for (Slot& slot : slots_) {
    if (slot.has_copy()) slot.parameter.copy_(slot.master);
  }
}

NamedTensors AdamW::state_tensors(bool masters) const {
  NamedTensors tensors;
  for (const Slot& slot : slots_) {
    tensors.emplace_back("exp_avg." + slot.name, slot.exp_avg);
    tensors.emplace_back("exp_avg_sq." + slot.name, slot.exp_avg_sq);
    if (masters) tensors.emplace_back("master." + slot.name, slot.master);
  }
  return tensors;
}

void AdamW::restore(int64_t updates, int64_t consecutive_skips) {
  updates_ = updates;
  consecutive_skips_ = consecutive_skips;
  write_back();
}

}  // namespace grpo::optim
