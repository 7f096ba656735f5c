#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "grpo/nn/adapter.h"

namespace grpo::nn {

/// The gradients of add_low_rank(), without autograd. They are computed from x, so the forward need not keep anything
/// for them. T is the number of tokens.
class LowRankGradient {
 public:
  /// grad: [T, out], the gradient of the layer's result. The adapter must outlive the
  /// object. REQUIRES: adapter.is_there().
  LowRankGradient(const Adapter& adapter, const at::Tensor& grad);

  /// grad_x += the gradient through the adapter. grad_x: [T, in].
  void add_to(at::Tensor grad_x) const;

  /// The gradients of a and b. x: as given to add_low_rank().
  std::array<at::Tensor, 2> of_factors(const at::Tensor& x) const;

 private:
  const Adapter& adapter_;
  at::Tensor grad_;
  at::Tensor inner_;  // [T, rank]: the gradient of dropped(x) a^T
};

}  // namespace grpo::nn
