#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace grpo::nn {

/// function(x), keeping only x for the backward, which computes everything else again (arXiv 1604.06174). The function
/// may read parameters that require grad, and must give the same result both times. REQUIRES: x requires grad.
at::Tensor recomputed(const std::function<at::Tensor(const at::Tensor&)>& function, const at::Tensor& x);

}  // namespace grpo::nn
