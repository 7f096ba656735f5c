#pragma once

#include <cstdint>
#include <vector>

#include "grpo/kernels/paged_kv.h"
#include "grpo/models/causal_lm.h"
#include "rollout/page_allocator.h"

namespace grpo::rollout {

/// The memory of all layers' keys and values, in pages. Which sequence holds which page is the scheduler's business.
class KvCache {
 public:
  KvCache(const models::CausalLM& model, int64_t num_pages, int64_t page_size);

  /// Bytes of one page over all layers.
  static int64_t page_bytes(const models::CausalLM& model, int64_t page_size);

  int64_t num_pages() const { return num_pages_; }
  int64_t page_size() const { return layers_.front().keys.size(1); }
  /// A page that is never handed out. Rows that only fill up a batch write to it and read from it.
  int32_t spare_page() const { return static_cast<int32_t>(num_pages_); }
  std::vector<kernels::PagedKv>& layers() { return layers_; }
  /// Copies the contents of pages. REQUIRES: no page is both a source and a destination.
  void copy_pages(const std::vector<PageCopy>& copies);

 private:
  std::vector<kernels::PagedKv> layers_;
  int64_t num_pages_;
};

}  // namespace grpo::rollout
