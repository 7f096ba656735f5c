#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace grpo::optim {

/// The L2 norm over all elements of all tensors. On the CPU at most 2^10 elements are summed in fp32 at a time; those
/// sums, and everything on a device, are added up in double, so the result does not lose small terms in large models.
/// The result is not finite when an element is not, or when its square overflows the dtype in which it is summed.
double gradient_norm(const std::vector<at::Tensor>& gradients);

/// The factor that brings a gradient of this norm to at most `max_norm`: min(1, max_norm / (norm + 1e-6)), as in
/// torch's clip_grad_norm_. max_norm 0 switches clipping off; the factor is then 1.
double clip_scale(double norm, double max_norm);

}  // namespace grpo::optim
