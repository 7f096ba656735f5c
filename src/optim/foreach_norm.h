#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace grpo::optim {

/// L2 norm over all elements of all tensors, in double throughout: on a device a few launches for any number of
/// tensors.
double foreach_norm(const std::vector<at::Tensor>& tensors);

}  // namespace grpo::optim
