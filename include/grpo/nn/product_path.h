#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace grpo::nn {

/// What multiplies matrices on the CPU.
enum class ProductPath {
  kOneDnn,    // LibTorch's oneDNN
  kOwn,       // grpo/kernels/product.h
  kLibTorch,  // LibTorch's own loops
};

/// The path of products of this dtype on this machine: what is fastest there. oneDNN multiplies bf16 only with AVX-512,
/// and fp32 at less than its best with AVX2.
ProductPath product_path(at::ScalarType dtype);

/// The path and the reason for it, as a sentence.
std::string describe_product_path(at::ScalarType dtype);

/// Whether products of this dtype are much slower here than those of fp32.
bool is_slow_here(at::ScalarType dtype);

}  // namespace grpo::nn
