#pragma once

#include <cstdint>
#include <vector>

#include "grpo/kernels/paged_kv.h"
#include "grpo/models/causal_lm.h"
#include "rollout/page_allocator.h"

namespace grpo::rollout {

/// The memory of all layers' keys and values, and who holds which page.
class KvCache {
 public:
  KvCache(const models::CausalLM& model, int64_t num_pages, int64_t page_size);

  /// Bytes one page takes over all layers.
  static int64_t page_bytes(const models::CausalLM& model, int64_t page_size);

  PageAllocator& pages() { return pages_; }
  const PageAllocator& pages() const { return pages_; }
  int64_t page_size() const { return page_size_; }
  std::vector<kernels::PagedKv>& layers() { return layers_; }

  /// Pages that hold `tokens` tokens.
  int64_t pages_for(int64_t tokens) const { return (tokens + page_size_ - 1) / page_size_; }

  /// A page list that continues the first `tokens` tokens of `pages`: whole pages are shared, a last page that is not full
  /// is copied, because its holder writes to it. REQUIRES: a free page if tokens is no multiple of the page size.
  std::vector<int32_t> fork(const std::vector<int32_t>& pages, int64_t tokens);
  void release(std::vector<int32_t>& pages);

 private:
  std::vector<kernels::PagedKv> layers_;
  PageAllocator pages_;
  int64_t page_size_;
};

}  // namespace grpo::rollout
