#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "grpo/models/causal_lm.h"

namespace grpo::testing {

/// Sequences in a paged cache whose pages lie scattered and start as NaN: reading a row that was never written shows.
class CachedPass {
 public:
  /// Room for `sequences` sequences of max_tokens tokens each.
  CachedPass(const models::CausalLM& model, int64_t sequences, int64_t max_tokens, int64_t page_size, bool exact);

  /// Adds `added[s]` to sequence s (none: it stays out of this pass). Returns logits, [sum of added, vocab].
  at::Tensor extend(const std::vector<std::vector<int64_t>>& added);

 private:
  const models::CausalLM& model_;
  bool exact_;
  at::Tensor page_table_;  // [S, pages] int32
  std::vector<int64_t> lengths_;
  std::vector<kernels::PagedKv> cache_;
  std::unique_ptr<kernels::AttentionPlanner> planner_;
};

/// Logits of whole sequences, [T, vocab] in order, when at most `piece` tokens of each enter per pass.
at::Tensor cached_logits(const models::CausalLM& model, const std::vector<std::vector<int64_t>>& sequences,
                         int64_t piece, bool exact, int64_t page_size = 4);

}  // namespace grpo::testing
