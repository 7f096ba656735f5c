#pragma once

#include <cstdint>
#include <vector>

namespace grpo::rollout {

/// A page whose contents must be copied before the next forward pass.
struct PageCopy {
  int32_t from;
  int32_t to;
};

/// Hands out the pages of the KV cache and counts their holders. The order is deterministic: the page that was freed
/// last is handed out first. It knows page numbers but no memory.
class PageAllocator {
 public:
  explicit PageAllocator(int64_t num_pages);

  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  int64_t num_pages() const { return static_cast<int64_t>(holders_.size()); }
  /// Hands out a page, which then has one holder. REQUIRES: num_free() > 0.
  int32_t take();
  /// Adds a holder to a page that has one already.
  void share(int32_t page);
  /// Removes a holder from a page; without holders the page is free again.
  void release(int32_t page);
  int32_t holders(int32_t page) const { return holders_[static_cast<size_t>(page)]; }

 private:
  std::vector<int32_t> free_;
  std::vector<int32_t> holders_;
};

}  // namespace grpo::rollout
