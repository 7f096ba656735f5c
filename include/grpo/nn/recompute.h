#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace grpo::nn {

/// function(x) that keeps x alone for the backward and computes the rest again there (arXiv 1604.06174). The function
/// may read parameters that require grad; it gives the same result both times. x: requires grad.
at::Tensor recomputed(const std::function<at::Tensor(const at::Tensor&)>& function, const at::Tensor& x);

}  // namespace grpo::nn
