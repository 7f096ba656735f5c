#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::nn {

// Products of matrices of any strides, a: [m, k] and b: [k, n], without autograd. On the CPU fp32 goes through oneDNN,
// which is twice as fast as LibTorch's own choice on machines that are not Intel's.

/// a b + bias. bias: [n] or undefined; on a device it is added where the product is written.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

/// out = a b. out: [m, n] of their dtype.
void product_into(at::Tensor out, const at::Tensor& a, const at::Tensor& b);

/// sum += a b. sum: [m, n] fp32; a and b of any dtype. On a device the product is added in fp32 where it is written; on
/// the CPU it is first rounded to the operands' dtype.
void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);

}  // namespace grpo::nn
