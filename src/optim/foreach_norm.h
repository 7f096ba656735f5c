#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace grpo::optim {

/// The L2 norm over all elements of all tensors, computed in double. On a device it takes few kernel launches,
/// however many tensors there are.
double foreach_norm(const std::vector<at::Tensor>& tensors);

}  // namespace grpo::optim
