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

/// What is fastest on this machine (docs/benchmarks/cpu.md has the figures): oneDNN in fp32, and in bf16 where there is
/// AMX, which only oneDNN uses; otherwise our own.
ProductPath product_path(at::ScalarType dtype);

/// The same where matrices have to be packed or copied whoever multiplies: weights that are packed once and read by
/// many products of few rows (prepacked_linear.h), and gradients g^T x of weights, whose rows do not lie densely. With
/// AVX2 or AVX-512 our own kernels are the faster ones there, in fp32, too.
ProductPath packed_path(at::ScalarType dtype);

/// Both paths and the reasons for them, in words.
std::string describe_product_paths(at::ScalarType dtype);

/// Whether products of this dtype are slower here than those of fp32.
bool is_slow_here(at::ScalarType dtype);

}  // namespace grpo::nn
