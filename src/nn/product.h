#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::nn {

// Products of matrices of any strides, a: [m, k] and b: [k, n], without autograd. On the CPU product_path.h says what
// multiplies. fp32 is never left to LibTorch's own choice, which is slow on processors that are not Intel's.

/// a b + bias, [m, n]. bias: [n] or undefined. On a device the bias is added by the same kernel.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

/// out = a b. out: [m, n] of the dtype of a and b.
void product_into(at::Tensor out, const at::Tensor& a, const at::Tensor& b);

/// sum += a b. sum: [m, n] fp32; a and b of any dtype. On a device and by our own kernels the product is added in fp32
/// without rounding; otherwise it is first rounded to the dtype of a and b.
void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);

}  // namespace grpo::nn
