#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::kernels {

/// Texts of a packed batch that begin alike: segment i is rows [offsets[i], offsets[i + 1]). Segment 0 is a whole text,
/// or the prompt that every further segment continues.
struct PackedFamily {
  std::vector<int64_t> offsets;  // at least 2, rising
};

struct PackedAttention {
  at::Tensor out;       // [T, heads, head_dim], dtype of the queries
  at::Tensor log_sums;  // [T, heads] fp32: of each query, the logarithm of the sum of exp(score)
};

struct PackedAttentionGradients {
  at::Tensor queries, keys, values;  // shape and dtype of each
};

/// Causal attention of packed texts on the CPU, without padding: a token sees its segment up to itself and, behind a
/// prompt, the prompt. queries: [T, heads, head_dim]; keys, values: [T, kv_heads, head_dim]; all fp32 or all bf16. Head
/// h reads kv head h / (heads / kv_heads). The families cover the T rows. Scores, weights and sums are fp32, and a
/// sum's order depends on its family alone, not on threads or on the families beside it. No score outlives its block
/// (arXiv 2205.14135); the gradient computes them again from the log-sum-exps.
PackedAttention packed_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                                 const std::vector<PackedFamily>& families, double scale);

/// Its gradient, given that of its result, `grad`.
PackedAttentionGradients packed_attention_backward(const at::Tensor& grad, const at::Tensor& queries,
                                                   const at::Tensor& keys, const at::Tensor& values,
                                                   const PackedAttention& result,
                                                   const std::vector<PackedFamily>& families, double scale);

}  // namespace grpo::kernels
