#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace grpo::optim {

/// The L2 norm over all elements of all tensors. On the CPU at most 2^10 elements at a time are summed in fp32, and
/// these sums are added up in double; on a device everything is computed in double. So small terms are not lost in
/// large models. The result is not finite if an element is not, or if its square overflows the dtype of the sum.
double gradient_norm(const std::vector<at::Tensor>& gradients);

/// The factor that clips a gradient of norm `norm` to at most `max_norm`: min(1, max_norm / (norm + 1e-6)), as in
/// torch's clip_grad_norm_. max_norm 0 switches clipping off: the factor is 1.
double clip_scale(double norm, double max_norm);

}  // namespace grpo::optim
