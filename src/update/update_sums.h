#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "grpo/algo/policy_loss.h"
#include "grpo/kernels/download.h"
#include "grpo/update/update.h"

namespace grpo::update {

/// What an update measures, added up on the model's device over all its micro-batches: the host reads it once, at the
/// end.
class UpdateSums {
 public:
  explicit UpdateSums(at::Device device);

  /// Clipped tokens and the largest ratio, of any piece of a micro-batch.
  void add(const algo::PolicyLoss& loss);
  /// Of a micro-batch: its loss (a scalar), and per target the sampler's log-probs (or undefined), the policy's, and
  /// its entropies.
  void add(const at::Tensor& loss, const at::Tensor& sampler_log_probs, const at::Tensor& log_probs,
           const at::Tensor& entropy);

  /// Begins to bring the sums to the host, behind what the device has been given so far; nothing is added after it.
  void send();
  /// Waits for them. entropy, clip_fraction and kl_sampler are sums over targets still; tokens is not set.
  UpdateStats receive();

 private:
  at::Tensor sums_;       // [4] fp64
  at::Tensor ratio_max_;  // fp64
  std::optional<kernels::Download> on_the_way_;
};

}  // namespace grpo::update
