#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace grpo::optim {

/// L2 norm over all elements of all tensors. On the CPU partial sums of at most 2^10 elements are fp32, the rest, and
/// all on a device, is double, so the result does not lose small terms in large models; not finite when an element is
/// not, or its square overflows what it is summed in.
double gradient_norm(const std::vector<at::Tensor>& gradients);

/// Factor that brings a gradient of this norm to at most `max_norm`: min(1, max_norm / (norm + 1e-6)), as torch's
/// clip_grad_norm_. max_norm 0 is off: 1.
double clip_scale(double norm, double max_norm);

}  // namespace grpo::optim
