#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "grpo/nn/adapter.h"

namespace grpo::nn {

/// The gradients of add_low_rank(), without autograd. They are computed from x again, so that the forward keeps nothing
/// for them. T is the number of tokens.
class LowRankGradient {
 public:
  /// grad: [T, out], of the layer's result. adapter must outlive the object. REQUIRES: there is an adapter.
  LowRankGradient(const Adapter& adapter, const at::Tensor& grad);

  /// grad_x += what comes through the adapter. grad_x: [T, in].
  void add_to(at::Tensor grad_x) const;

  /// The gradients of a and b. x: what add_low_rank() was given.
  std::array<at::Tensor, 2> of_factors(const at::Tensor& x) const;

 private:
  const Adapter& adapter_;
  at::Tensor grad_;
  at::Tensor inner_;  // [T, rank]: the gradient of dropped(x) a^T
};

}  // namespace grpo::nn
