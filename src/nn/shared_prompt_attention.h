#pragma once

#include <ATen/core/Tensor.h>

#include "grpo/nn/attention.h"

namespace grpo::nn {

/// Packed attention where prompts are shared; shapes as in packed_attention(). Each segment attends to itself,
/// causally, and the completions of a shared prompt also to that prompt: their queries, all together, against its keys.
/// With S the scores, l = log sum exp S and O = softmax(S) V of the parts a and b, the whole is
///   l = log(exp l_a + exp l_b),  O = exp(l_a - l) O_a + exp(l_b - l) O_b.
/// Its gradient needs nothing of the parts: P = exp(S - l) are the true weights, and dS = P (dO V^T - sum(dO O)) holds
/// for the keys of each part alone. So the backward of an attention operator, given the merged O and l, returns a
/// part's share of the gradients, and the gradients of a prompt's keys and values are sums over its completions.
/// REQUIRES: the plan has shared prompts.
at::Tensor shared_prompt_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                                   const AttentionPlan& plan, double scale);

/// Attention of queries [S, H, L, D] to keys and values [S, H, M, D], with the log-sum-exp of each query's scores.
struct Attended {
  at::Tensor out;       // [S, H, L, D]
  at::Tensor log_sums;  // [S, H, L] fp32, or fp64 where the inputs are fp64
};

struct AttentionGradients {
  at::Tensor queries, keys, values;
};

/// The definition, in products that hold all scores, for devices whose operators do not return log-sum-exps of padded
/// sequences. A causal query l sees the keys up to l.
Attended plain_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, bool causal,
                         double scale);
/// Its gradients where `whole` is the attention to these and other keys.
AttentionGradients plain_attention_backward(const at::Tensor& grad, const at::Tensor& queries, const at::Tensor& keys,
                                            const at::Tensor& values, const Attended& whole, bool causal, double scale);

}  // namespace grpo::nn
