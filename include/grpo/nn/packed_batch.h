#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::nn {

/// Sequences laid end to end without padding, for training and scoring. T is the number of tokens, S that of sequences.
struct PackedBatch {
  at::Tensor ids;                // [T] int64
  at::Tensor positions;          // [T] int64, from 0 in each sequence
  std::vector<int64_t> offsets;  // [S + 1]; sequence s is tokens [offsets[s], offsets[s + 1])
  at::Tensor dropout_keys = {};  // [T] int64: keys of the tokens (adapter.h); undefined: nothing is dropped

  /// Packs whole sequences in the given order. REQUIRES: every sequence has at least one id.
  static PackedBatch pack(const std::vector<std::vector<int64_t>>& sequences, at::Device device = at::kCPU);
  int64_t num_tokens() const { return offsets.back(); }
};

}  // namespace grpo::nn
