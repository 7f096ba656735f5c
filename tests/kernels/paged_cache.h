#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "grpo/kernels/paged_kv.h"

namespace grpo::testing {

/// A paged cache whose pages lie scattered and start as NaN, and the page lists of its sequences.
struct PagedCache {
  PagedCache(int64_t sequences, int64_t max_tokens, int64_t page_size, int64_t kv_heads, int64_t head_dim,
             at::ScalarType type);

  /// The layout of a pass in which sequence s (of those named) grows from context[s] - added[s] to context[s] tokens.
  kernels::PagedLayout layout(const std::vector<int64_t>& sequences, const std::vector<int64_t>& added,
                              const std::vector<int64_t>& context) const;

  kernels::PagedKv kv;
  at::Tensor page_table;  // [sequences, pages] int32
};

}  // namespace grpo::testing
