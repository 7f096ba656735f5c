#pragma once

#include <c10/core/ScalarType.h>

#include <string>

namespace grpo::nn {

/// What multiplies matrices on the CPU.
enum class ProductPath {
  kOneDnn,    // LibTorch's oneDNN
  kOwn,       // grpo/kernels/product.h
  kLibTorch,  // LibTorch's own loops
};

/// What is fastest on this machine (docs/benchmarks/cpu.md has the figures): oneDNN, but for bf16 only where the
/// processor multiplies bf16 itself. Without AVX-512 oneDNN refuses bf16, and with AVX-512 alone it is slow.
ProductPath product_path(at::ScalarType dtype);

/// The same for weights that are packed once and read by many products of few rows (prepacked_linear.h). With AVX2 or
/// AVX-512 our own layout is the faster one in fp32, too.
ProductPath prepacked_path(at::ScalarType dtype);

/// Both paths and the reasons for them, in words.
std::string describe_product_paths(at::ScalarType dtype);

/// Whether products of this dtype are slower here than those of fp32.
bool is_slow_here(at::ScalarType dtype);

}  // namespace grpo::nn
