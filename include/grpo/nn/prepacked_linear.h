#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace grpo::nn {

/// Whether prepack_linear() makes a copy of this weight.
bool can_prepack(const at::Tensor& weight);

/// A copy of an fp32 or bf16 CPU weight [out, in] in oneDNN's blocked layout, which is faster at the few rows of
/// a decode step. A weight for which this machine has no such layout is returned as it is. The copy does not
/// follow later changes of `weight`.
at::Tensor prepack_linear(const at::Tensor& weight);

/// x W^T + b without autograd. x: [T, in]; weight: plain or from prepack_linear; bias: [out] or none. Returns [T, out].
at::Tensor prepacked_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

}  // namespace grpo::nn
