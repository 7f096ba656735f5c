#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace grpo::nn {

struct TokenLogProbs {
  at::Tensor log_probs;  // [N] fp32: log_softmax(hidden W^T / temperature)[target]; differentiable
  at::Tensor entropy;    // [N] fp32: of the same distribution; differentiable only if `entropy_grad`
  at::Tensor kept;       // [N] fp32, no gradient: log of the probability that `truncation` leaves; undefined without it
};

/// What a sampler left of the distribution (kernels/sample.h); targets always stay.
struct HeadTruncation {
  int64_t top_k = 0;   // 0: all
  double top_p = 1.0;  // 1: all
  bool is_on() const { return top_k > 0 || top_p < 1.0; }
};

struct LmHeadOptions {
  double temperature = 1.0;  // > 0
  int64_t chunk_tokens =
      0;  // logits [chunk, V] exist for one chunk at a time, forward and backward; 0: auto_chunk_tokens
  bool entropy_grad = false;
  bool entropy = true;             // false: not computed; undefined in the result
  HeadTruncation truncation = {};  // the softmax is over what it leaves, a set that is taken as given
};

/// The default of chunk_tokens. A device needs many tokens at once to be busy, and reads and writes the weight's
/// gradient once for each chunk; on the CPU more tokens would only hold more memory.
int64_t auto_chunk_tokens(bool cuda);

/// Log-probability and entropy of given tokens without ever holding [N, V]: chunks are recomputed in the backward.
/// hidden: [N, D]; weight: [V, D], any float dtype; targets: [N] int64. Softmax in fp32.
TokenLogProbs token_log_probs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                              const LmHeadOptions& options);

/// The loss of the tokens [begin, begin + n), a scalar. It depends only on their own log_probs and entropy, which are
/// [n] fp32 leaves that require grad (the entropy with entropy_grad only). The whole loss is the sum over all pieces.
using TokenLoss = std::function<at::Tensor(int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy)>;

struct HeadLoss {
  at::Tensor loss;       // scalar fp32, differentiable by hidden and weight
  at::Tensor log_probs;  // [N] fp32, no gradient
  at::Tensor entropy;    // [N] fp32, no gradient
  at::Tensor kept = {};  // as in TokenLogProbs
};

/// As token_log_probs followed by a loss, but each chunk's logits are computed only once: since a token's loss depends
/// on that token alone, the chunk's gradient is known as soon as its log-probabilities are. The forward therefore does
/// the work of the backward.
HeadLoss head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                   const LmHeadOptions& options, const TokenLoss& token_loss);

}  // namespace grpo::nn
