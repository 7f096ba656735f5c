#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

namespace grpo::kernels {

// Products of fp32 or bf16 matrices on the CPU, without autograd. Sums are fp32, also of bf16, and run over k in an
// order that depends on k alone: a row's result depends on that row alone, bit for bit, whatever the other rows and the
// number of threads.

/// The instruction set of the CPU kernels in use: "avx512_bf16", "avx512", "avx2" or "generic". GRPO_MAX_CPU_ISA=avx2
/// (or another one), set when the program starts, forbids better ones: ours, and those of LibTorch and oneDNN where
/// their own variables are not set (docs/performance.md).
const char* cpu_instruction_set();

/// A matrix [k, columns] in the layout that product() reads fastest. It does not follow later changes of the matrix,
/// and belongs to the instruction set with which it was packed.
struct PackedMatrix {
  std::string_view instruction_set;  // cpu_instruction_set() when it was packed
  at::Tensor panels;                 // [panels, k, columns of a panel] of the matrix's dtype, filled up with zeros
  int64_t k = 0, columns = 0;
};

/// matrix: [k, columns] of any strides.
PackedMatrix pack_matrix(const at::Tensor& matrix);

/// a b + bias, [m, columns]. a: [m, k] of b's dtype and of any strides; bias: [columns] or undefined.
at::Tensor product(const at::Tensor& a, const PackedMatrix& b, const at::Tensor& bias = {});

/// a b + bias, [m, n]. a: [m, k] and b: [k, n] of any strides; bias: [n] or undefined. b is packed on the way, in parts
/// of a few MB.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

/// The product with a packed matrix, into `out` [m, columns] of a's dtype, whose rows lie densely.
void product_into(const at::Tensor& out, const at::Tensor& a, const PackedMatrix& b, const at::Tensor& bias = {});

/// out = a b. out: [m, n] of the dtype of a and b.
void product_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b);

/// sum += a b. sum: [m, n] fp32.
void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);

}  // namespace grpo::kernels
