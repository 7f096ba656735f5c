#pragma once

#include <cstdint>
#include <vector>

namespace grpo::rollout {

/// A page whose contents must be copied before the next forward pass.
struct PageCopy {
  int32_t from;
  int32_t to;
};

/// Hands out the pages of the KV cache and counts who holds them. The order is deterministic: the page freed last is
/// given first. Knows page numbers only, no memory.
class PageAllocator {
 public:
  explicit PageAllocator(int64_t num_pages);

  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  int64_t num_pages() const { return static_cast<int64_t>(holders_.size()); }
  /// A page with one holder. REQUIRES: num_free() > 0.
  int32_t take();
  /// One more holder of a page that is held.
  void share(int32_t page);
  /// One holder less; without holders the page is free again.
  void release(int32_t page);
  int32_t holders(int32_t page) const { return holders_[static_cast<size_t>(page)]; }

 private:
  std::vector<int32_t> free_;
  std::vector<int32_t> holders_;
};

}  // namespace grpo::rollout
