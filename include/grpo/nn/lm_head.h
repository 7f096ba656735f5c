#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace grpo::nn {

struct TokenLogProbs {
  at::Tensor log_probs;  // [N] fp32: log_softmax(hidden W^T / temperature)[target]; differentiable
  at::Tensor entropy;    // [N] fp32: of the same distribution; differentiable only with `entropy_grad`
  // [N] fp32, no gradient: the log of the probability that `truncation` keeps; undefined without truncation.
  at::Tensor kept;
};

/// The tokens to which a sampler restricted the distribution (kernels/sample.h). The target itself is always kept.
struct HeadTruncation {
  int64_t top_k = 0;   // 0: no limit
  double top_p = 1.0;  // 1: no limit
  bool is_on() const { return top_k > 0 || top_p < 1.0; }
};

struct LmHeadOptions {
  double temperature = 1.0;  // > 0
  // Logits exist only for this many tokens at a time, in the forward and in the backward; 0: auto_chunk_tokens().
  int64_t chunk_tokens = 0;
  bool entropy_grad = false;
  bool entropy = true;  // false: not computed, and undefined in the result
  // The softmax is over the tokens that the truncation keeps. Which tokens these are is taken as given: no
  // gradient flows into the choice.
  HeadTruncation truncation = {};
};

/// The default of chunk_tokens. A device needs many tokens at once to be busy, and it reads and writes the weight's
/// gradient once per chunk. On the CPU more tokens would only take more memory.
int64_t auto_chunk_tokens(bool cuda);

/// Log-probability and entropy of given tokens. [N, V] never exists as a whole: the backward computes each chunk's
/// logits again. hidden: [N, D]; weight: [V, D], any float dtype; targets: [N] int64. The softmax is in fp32.
TokenLogProbs token_log_probs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                              const LmHeadOptions& options);

/// The loss of the tokens [begin, begin + n) as a scalar. It may depend only on these tokens' log_probs
/// and entropy, which are [n] fp32 leaves that require grad (entropy only with entropy_grad). The whole
/// loss is the sum over all such pieces.
using TokenLoss = std::function<at::Tensor(int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy)>;

struct HeadLoss {
  at::Tensor loss;       // scalar fp32, differentiable by hidden and weight
  at::Tensor log_probs;  // [N] fp32, no gradient
  at::Tensor entropy;    // [N] fp32, no gradient
  at::Tensor kept = {};  // as in TokenLogProbs; undefined without truncation
};

/// Like token_log_probs followed by a loss, but each chunk's logits are computed only once. A token's loss depends on
/// that token alone, so the chunk's gradient is known as soon as its log-probabilities are. The forward therefore
/// does the work of the backward.
HeadLoss head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                   const LmHeadOptions& options, const TokenLoss& token_loss);

}  // namespace grpo::nn
