#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::nn {

struct TokenLogProbs {
  at::Tensor log_probs;  // [N] fp32: log_softmax(hidden W^T / temperature)[target]; differentiable
  at::Tensor entropy;    // [N] fp32: of the same distribution; differentiable only if `entropy_grad`
};

struct LmHeadOptions {
  double temperature = 1.0;     // > 0
  int64_t chunk_tokens = 512;   // logits [chunk, V] exist for one chunk at a time, forward and backward
  bool entropy_grad = false;
};

/// Log-probability and entropy of given tokens without ever holding [N, V]: chunks are recomputed in the backward.
/// hidden: [N, D]; weight: [V, D], any float dtype; targets: [N] int64. Log-softmax in fp32.
TokenLogProbs token_log_probs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                              const LmHeadOptions& options);

}  // namespace grpo::nn
