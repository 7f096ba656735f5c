#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::kernels {

// Functions of the rows of logits that the language model head gives, without autograd (nn/lm_head.h adds it). For each
// row, p = softmax(logits / temperature).

/// Numbers of n rows, each [n] fp32.
struct HeadRows {
  at::Tensor log_probs;  // log p[target]
  at::Tensor entropy;    // -sum p log p
  at::Tensor max;        // of the logits
  at::Tensor log_sum;    // log sum exp((logits - max) / temperature)
};

/// Computes HeadRows, on a CUDA device with a single pass over the logits. logits: [n, V] fp32 or bf16, dense;
/// targets: [n] int64 in [0, V), dense. Computed in fp32 or wider. A row's result depends on that row alone.
HeadRows head_rows(const at::Tensor& logits, const at::Tensor& targets, double temperature);

/// Overwrites `logits` with the gradient of sum_i (g_i log p_i[target_i] + h_i entropy_i) with respect to them:
/// (g (onehot - p) - h p (log p + entropy)) / temperature. rows: what head_rows() returned for the same arguments.
/// g, h: [n] fp32, or undefined for no gradient.
void head_gradient_(at::Tensor& logits, const at::Tensor& targets, const HeadRows& rows, double temperature,
                    const at::Tensor& g, const at::Tensor& h);

}  // namespace grpo::kernels
