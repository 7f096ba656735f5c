#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::kernels {

// The language model head's rows, without autograd (nn/lm_head.h adds it): p = softmax(logits / temperature) of each
// row.

/// Of each row, [n] fp32.
struct HeadRows {
  at::Tensor log_probs;  // log p[target]
  at::Tensor entropy;    // -sum p log p
  at::Tensor max;        // of the logits
  at::Tensor log_sum;    // log sum exp((logits - max) / temperature)
};

/// All of it from one reading of the logits on a device. logits: [n, V] fp32 or bf16, dense; targets: [n] int64 in [0,
/// V), dense. Computed in fp32 or wider. A row's result depends on that row alone.
HeadRows head_rows(const at::Tensor& logits, const at::Tensor& targets, double temperature);

/// Overwrites `logits` with the gradient of sum_i (g_i log p_i[target_i] + h_i entropy_i) with respect to them:
/// (g (onehot - p) - h p (log p + entropy)) / temperature. rows: head_rows of them. g, h: [n] fp32, or undefined (no
/// gradient).
void head_gradient_(at::Tensor& logits, const at::Tensor& targets, const HeadRows& rows, double temperature,
                    const at::Tensor& g, const at::Tensor& h);

}  // namespace grpo::kernels
