#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::nn {

/// a b without autograd, [m, k] by [k, n], either of any strides. fp32 on the CPU goes through oneDNN, which is twice as
/// fast as LibTorch's own choice on machines that are not Intel's.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);

}  // namespace grpo::nn
