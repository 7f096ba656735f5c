#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "grpo/nn/adapter.h"

namespace grpo::nn {

// Differentiable layers. In fp32 and bf16 each layer is one node of the autograd graph, which keeps as
// little as it can: the backward computes norms, activations and the inner values of adapters again. T
// is the number of packed tokens.

struct LinearWeights {
  at::Tensor weight;     // [out, in]
  at::Tensor bias;       // [out] or undefined
  Adapter adapter = {};  // added to the weight
};

struct NormWeights {
  at::Tensor weight;  // [D]
  double eps = 0.0;
};

/// x W^T + b plus what the adapter adds. x: [T, in]. Returns [T, out].
at::Tensor linear(const at::Tensor& x, const LinearWeights& weights);

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension, in fp32. x: [..., D].
at::Tensor rms_norm(const at::Tensor& x, const NormWeights& norm);

/// The linear layers of rms_norm(x) that give queries, keys and values. x: [T, D]. Weights that lie one behind the
/// other, as a model's layers keep them, are multiplied as one matrix, and the three results are views of one tensor.
std::array<at::Tensor, 3> normed_projections(const at::Tensor& x, const NormWeights& norm,
                                             const std::array<LinearWeights, 3>& weights);

/// How heads are rotated by their positions, in the half-split convention: element i is paired with i + head_dim / 2.
struct Rope {
  at::Tensor positions;  // [T] int64
  at::Tensor cos, sin;   // [max_positions, head_dim / 2] fp32
  int64_t head_dim = 0;
};

/// Like normed_projections, with queries and keys rotated in place. Shapes: [T, heads, head_dim] for queries, [T,
/// kv_heads, head_dim] for keys and values.
std::array<at::Tensor, 3> rotated_projections(const at::Tensor& x, const NormWeights& norm,
                                              const std::array<LinearWeights, 3>& weights, const Rope& rope);

/// down(silu(gate(n)) * up(n)) with n = rms_norm(x). x: [T, D]. gate(n) and up(n) are the largest activations of a
/// layer: with `keep` they are kept for the backward, otherwise the backward computes them again.
at::Tensor gated_mlp(const at::Tensor& x, const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up,
                     const LinearWeights& down, bool keep = true);

/// Rotates heads. x: [T, heads, head_dim]; the other arguments are the fields of Rope.
at::Tensor rope(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace grpo::nn
