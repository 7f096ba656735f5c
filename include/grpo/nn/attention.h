#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::nn {

/// How packed rows go to padded sequences and back; made once per batch and used by every layer.
struct AttentionPlan {
  struct Bucket {
    int64_t sequences = 0;
    int64_t length = 0;     // longest sequence of the bucket
    bool dense = false;     // every sequence is `length` long: no padding
    bool in_place = false;  // the bucket is the whole batch, dense and in packed order: nothing to gather
    at::Tensor gather;      // [sequences * length] int64: packed row of each padded slot (padding repeats a row)
    at::Tensor valid;       // [rows of the bucket] int64: the padded slots that are real, in packed order
  };
  std::vector<Bucket> buckets;  // neighbours in length share one
  at::Tensor unsort;  // [T] int64: where each packed row is in the buckets' concatenated output; undefined: in order
};

/// offsets: [S + 1] as in PackedBatch.
AttentionPlan plan_attention(const std::vector<int64_t>& offsets, at::Device device);

/// Causal attention inside each packed sequence, differentiable. queries: [T, heads, head_dim]; keys, values:
/// [T, kv_heads, head_dim]; heads are grouped over kv_heads. Sequences are padded on the right to bucket length: with
/// the causal mask no real query sees padding.
at::Tensor packed_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                            const AttentionPlan& plan, double scale);

}  // namespace grpo::nn
