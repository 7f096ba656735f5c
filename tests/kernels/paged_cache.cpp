#include "kernels/paged_cache.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/tensor.h>

#include <limits>

namespace grpo::testing {

PagedCache::PagedCache(int64_t sequences, int64_t max_tokens, int64_t page_size, int64_t kv_heads, int64_t head_dim,
                       at::ScalarType type) {
  const int64_t pages = (max_tokens + page_size - 1) / page_size;
  const auto nan =
      at::full({sequences * pages, page_size, kv_heads, head_dim}, std::numeric_limits<float>::quiet_NaN()).to(type);
  kv = {.keys = nan, .values = nan.clone()};
  page_table = at::randperm(sequences * pages).to(at::kInt).view({sequences, pages});
}

kernels::PagedLayout PagedCache::layout(const std::vector<int64_t>& sequences, const std::vector<int64_t>& added,
                                        const std::vector<int64_t>& context) const {
  std::vector<int32_t> offsets = {0};
  std::vector<int32_t> lengths, page_offsets = {0};
  std::vector<at::Tensor> pages;
  const int64_t page_size = kv.keys.size(1);
  for (size_t i = 0; i < sequences.size(); ++i) {
    pages.push_back(page_table[sequences[i]].narrow(0, 0, (context[i] + page_size - 1) / page_size));
    page_offsets.push_back(page_offsets.back() + static_cast<int32_t>(pages.back().numel()));
    offsets.push_back(offsets.back() + static_cast<int32_t>(added[i]));
    lengths.push_back(static_cast<int32_t>(context[i]));
  }
  return {.query_offsets = at::tensor(offsets, at::kInt),
          .context_lengths = at::tensor(lengths, at::kInt),
          .page_offsets = at::tensor(page_offsets, at::kInt),
          .page_ids = at::cat(pages),
          .schedule = nullptr};
}

}  // namespace grpo::testing
