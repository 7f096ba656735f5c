#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::kernels {

/// How one row is sampled.
struct SampleParams {
  double temperature = 1.0;  // 0: greedy, the lowest id among equals
  int64_t top_k = 0;         // 0: off; the k largest, ties at the bound by lower id
  double top_p = 1.0;        // smallest set of largest probabilities whose sum reaches top_p (after top-k)
  double uniform = 0.0;      // in [0, 1): base::uniform(key, draw, sample, position)
};

/// The parameters of B rows, each field a tensor [B].
struct SampleRows {
  at::Tensor temperature;  // double
  at::Tensor top_k;        // int64
  at::Tensor top_p;        // double
  at::Tensor uniform;      // double
};

/// The parameters as host tensors. Throws std::logic_error with their values if one is out of its range. The tensors of
/// `used` are overwritten where they have as many rows; nobody may need their contents any more.
SampleRows sample_rows(const std::vector<SampleParams>& params, SampleRows used = {});

struct Sampled {
  at::Tensor ids;  // [B] int64
  // [B] fp32: log_softmax(logits / temperature)[id] before top-k and top-p; at temperature 0, log_softmax(logits)[id].
  at::Tensor log_probs;
};

/// One token per row by inversion of the cumulative distribution in id order: the first kept token v with
/// sum_{i <= v, i kept} p_i > uniform * sum_kept. logits: [B, V] fp32 or bf16 (read as fp32), on the device of `rows`,
/// where the results are too. A row's result depends on that row alone. A row whose logits hold NaN or are all -inf
/// gets id 0 and the log-prob NaN.
Sampled sample_tokens(const at::Tensor& logits, const SampleRows& rows);

/// Sets the logits that sample_tokens() with these parameters would leave out to minus infinity, except the target's.
/// The softmax of a row is then the distribution that its token was sampled from. logits: [n, V] fp32 or bf16, dense;
/// targets: [n] int64 in [0, V); temperature > 0. Returns [n] fp32: the log of the probability that is left. A row
/// whose logits hold NaN or are all -inf stays as it is, and its result is NaN.
at::Tensor keep_sampled_(at::Tensor& logits, const at::Tensor& targets, double temperature, int64_t top_k,
                         double top_p);

}  // namespace grpo::kernels
