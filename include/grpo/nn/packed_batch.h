#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace grpo::nn {

/// Texts that begin with the same tokens. Without these there are no others in it: `prompt` is empty, and the
/// completions are whole texts that have nothing in common.
struct Family {
  std::vector<int64_t> prompt;                    // ids
  std::vector<std::vector<int64_t>> completions;  // ids; behind a prompt some may be empty
};

/// Where a shared prompt and what stands behind it are in a packed batch: the segments behind segment `prompt` and
/// before segment `end` continue its text.
struct SharedPrompt {
  size_t prompt = 0, end = 0;
};

/// Texts laid end to end without padding, for training and scoring. They consist of segments, which are whole texts, or
/// prompts that several texts share and that are there once, each followed by what continues it. T is the number of
/// tokens, S that of segments.
struct PackedBatch {
  at::Tensor ids;                         // [T] int64
  at::Tensor positions;                   // [T] int64, of each token in its text
  std::vector<int64_t> offsets;           // [S + 1]; segment s is tokens [offsets[s], offsets[s + 1])
  std::vector<SharedPrompt> shared = {};  // in rising order; the other segments are whole texts
  at::Tensor dropout_keys = {};           // [T] int64: keys of the tokens (adapter.h); undefined: nothing is dropped

  /// Packs whole texts in the given order. REQUIRES: every one has at least one id.
  static PackedBatch pack(const std::vector<std::vector<int64_t>>& sequences, at::Device device = at::kCPU);
  /// Packs families in the given order, each with its prompt before its completions. Completions without an id have no
  /// segment. REQUIRES: those of a family without a prompt have at least one id.
  static PackedBatch pack_families(const std::vector<Family>& families, at::Device device = at::kCPU);
  int64_t num_tokens() const { return offsets.back(); }
  /// The length of the longest text.
  int64_t longest_text() const;
};

}  // namespace grpo::nn
