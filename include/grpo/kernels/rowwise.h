#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>

namespace grpo::kernels {

// Layers without autograd (nn/layers.h adds it). A row's result depends on that row alone, bit for bit, whatever
// the other rows and the number of threads.
//
// A `place` is where the CPU writes a result, which is then returned: dense, of the result's shape and dtype. Where it
// is undefined, and on CUDA, the result is a new tensor, as without `_into`.

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension. x: [..., D] fp32 or bf16; computed in fp32.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor rms_norm_into(const at::Tensor& place, const at::Tensor& x, const at::Tensor& weight, double eps);

/// {x + y, rms_norm(x + y, weight, eps)}: a residual sum as it is stored, and its norm.
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                                               double eps);
/// With a place for the norm the sum overwrites x, which is dense then, as y is.
std::pair<at::Tensor, at::Tensor> add_rms_norm_into(const at::Tensor& place, const at::Tensor& x, const at::Tensor& y,
                                                    const at::Tensor& weight, double eps);

/// The rows ids[i] of a dense matrix on the CPU, into a place [T, D]. ids: [T] int64.
void take_rows(const at::Tensor& matrix, const at::Tensor& ids, const at::Tensor& place);

/// {gradient of x, gradient of weight} of rms_norm(x, weight, eps), where grad is the gradient of its result. The sum
/// over rows has a fixed order.
std::pair<at::Tensor, at::Tensor> rms_norm_backward(const at::Tensor& grad, const at::Tensor& x,
                                                    const at::Tensor& weight, double eps);

/// The gradient of silu_mul with respect to gate and up, which lie side by side in gate_up [T, 2 D]. grad [T, D] is the
/// gradient of the result and is overwritten with the result silu(gate) * up, which the next layer needs for the
/// gradient of its weight. grad_gate_up [T, 2 D] receives the gradient and may be gate_up. All dense.
void silu_mul_backward_(at::Tensor& grad, const at::Tensor& gate_up, at::Tensor& grad_gate_up);

/// silu(gate) * up, elementwise. Same shape and dtype. [T, D] operands may be columns of a wider matrix.
at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up);
at::Tensor silu_mul_into(const at::Tensor& place, const at::Tensor& gate, const at::Tensor& up);

/// Rotates query or key heads in the half-split convention (Hugging Face), where x1 and x2 are the halves of a head:
/// (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin). x: [T, heads, head_dim], may be columns of a wider matrix;
/// positions: [T] int64; cos, sin: [max_positions, head_dim / 2] fp32, with the attention scaling multiplied in.
/// Returns a new tensor of x's dtype.
at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin);

/// As apply_rope, into `out` of x's shape and dtype: columns of a wider matrix, or x itself.
void rope_into(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
               at::Tensor& out);

/// y = x W^T + b where a row's result depends on that row alone, bit for bit (`rollout.exact`). On the CPU fp32 only,
/// with a fixed order of summation over K; on CUDA fp32 or bf16, as products that all have one shape. x: [T, K],
/// weight: [N, K], bias: [N] or none. Returns [T, N].
at::Tensor exact_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

}  // namespace grpo::kernels
