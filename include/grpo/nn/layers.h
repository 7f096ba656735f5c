#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "grpo/nn/adapter.h"

namespace grpo::nn {

// Differentiable layers. In fp32 and bf16 each is one node of the autograd graph that keeps as little as it can: norms,
// activations and what an adapter computes are computed again in the backward. T is the number of packed tokens.

struct LinearWeights {
  at::Tensor weight;     // [out, in]
  at::Tensor bias;       // [out] or undefined
  Adapter adapter = {};  // added to the weight
};

struct NormWeights {
  at::Tensor weight;  // [D]
  double eps = 0.0;
};

/// x W^T + b, and what the adapter adds. x: [T, in].
at::Tensor linear(const at::Tensor& x, const LinearWeights& weights);

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension, in fp32. x: [..., D].
at::Tensor rms_norm(const at::Tensor& x, const NormWeights& norm);

/// The projections of rms_norm(x): queries, keys and values. x: [T, D]. Weights that lie one behind the other, as a
/// model's layers keep them, are multiplied as one matrix, and the results are views of one result.
std::array<at::Tensor, 3> normed_projections(const at::Tensor& x, const NormWeights& norm,
                                             const std::array<LinearWeights, 3>& weights);

/// How heads of the half-split convention are rotated by their positions.
struct Rope {
  at::Tensor positions;  // [T] int64
  at::Tensor cos, sin;   // [max_positions, head_dim / 2] fp32
  int64_t head_dim = 0;
};

/// As normed_projections, with queries and keys rotated where they lie: [T, heads, head_dim] and twice [T, kv_heads,
/// head_dim].
std::array<at::Tensor, 3> rotated_projections(const at::Tensor& x, const NormWeights& norm,
                                              const std::array<LinearWeights, 3>& weights, const Rope& rope);

/// down(silu(gate(n)) * up(n)) with n = rms_norm(x). x: [T, D]. With `keep`, gate(n) and up(n), the largest activations
/// of a layer, are kept for the backward; otherwise they are computed again there.
at::Tensor gated_mlp(const at::Tensor& x, const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up,
                     const LinearWeights& down, bool keep = true);

/// Rotates heads. x: [T, heads, head_dim]; the other arguments are as in Rope.
at::Tensor rope(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace grpo::nn
