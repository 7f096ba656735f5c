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

struct Sampled {
  std::vector<int64_t> ids;      // [B]
  std::vector<float> log_probs;  // [B]: log_softmax(logits / temperature)[id] before top-k/top-p; temperature 0: of raw logits
};

/// One token per row by inversion of the cumulative distribution in id order: the first kept token v with
/// sum_{i <= v, i kept} p_i > uniform * sum_kept. logits: [B, V] fp32 or bf16 (read as fp32). A row's result depends on
/// that row alone. Throws base::Error naming the row when its logits hold NaN or are all -inf.
Sampled sample_tokens(const at::Tensor& logits, const std::vector<SampleParams>& params);

}  // namespace grpo::kernels
