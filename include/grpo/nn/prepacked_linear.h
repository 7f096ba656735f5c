#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "grpo/kernels/product.h"

namespace grpo::nn {

/// The weight of a linear layer as prepacked_linear() reads it.
struct PrepackedWeight {
  at::Tensor weight;             // [out, in], plain or in oneDNN's layout; undefined where `panels` has it
  kernels::PackedMatrix panels;  // W^T
};

/// Whether prepack_linear() makes a copy of this weight.
bool can_prepack(const at::Tensor& weight);

/// A copy of an fp32 or bf16 CPU weight [out, in] in oneDNN's or our own layout (product_path.h), which is faster at
/// the few rows of a decode step. Of other weights the result is the weight itself. The copy has the weight's size but
/// for the padding of a panel, and does not follow later changes of `weight`.
PrepackedWeight prepack_linear(const at::Tensor& weight);

/// x W^T + b without autograd. x: [T, in]; bias: [out] or none. Returns [T, out]: `place` where it is given and our own
/// layout is in use, else new memory.
at::Tensor prepacked_linear(const at::Tensor& x, const PrepackedWeight& weight, const std::optional<at::Tensor>& bias,
                            const at::Tensor& place = {});

}  // namespace grpo::nn
