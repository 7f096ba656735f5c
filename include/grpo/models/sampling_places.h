#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "grpo/models/model_config.h"

namespace grpo::models {

/// The results of a decode step's parts on the CPU, which each layer and step overwrites: a step allocates nothing.
/// The members are undefined until prepare(), and a pass then makes new tensors. T: tokens of the pass.
struct SamplingPlaces {
  at::Tensor stream;           // [T, hidden]
  at::Tensor normed;           // [T, hidden]
  at::Tensor qkv;              // [T, (heads + 2 kv_heads) head_dim]
  at::Tensor heads;            // the same memory as [T, heads + 2 kv_heads, head_dim]
  at::Tensor queries;          // [T, heads, head_dim]
  at::Tensor attended;         // [T, heads, head_dim]
  at::Tensor attended_matrix;  // the same memory as [T, heads head_dim]
  at::Tensor added;            // [T, hidden], of a layer's output projections
  at::Tensor gate_up;          // [T, 2 intermediate]
  at::Tensor gate, up;         // its halves, [T, intermediate]
  at::Tensor gated;            // [T, intermediate]
  at::Tensor logits;           // [T, vocab]

  /// Makes the members as large as a pass over `tokens` tokens needs. Memory only grows.
  void prepare(const ModelConfig& config, at::ScalarType dtype, int64_t tokens);

 private:
  at::Tensor memory_;  // of all of them
  int64_t tokens_ = 0;
};

}  // namespace grpo::models
