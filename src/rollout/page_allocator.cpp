#include "rollout/page_allocator.h"

#include "grpo/base/error.h"

namespace grpo::rollout {

PageAllocator::PageAllocator(int64_t num_pages) : holders_(static_cast<size_t>(num_pages), 0) {
  for (int64_t page = num_pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

int32_t PageAllocator::take() {
  GRPO_CHECK(!free_.empty(), "no free page of ", holders_.size());
  const int32_t page = free_.back();
  free_.pop_back();
  holders_[static_cast<size_t>(page)] = 1;
  return page;
}

void PageAllocator::share(int32_t page) {
  GRPO_CHECK(holders(page) > 0, "page ", page, " is free");
  ++holders_[static_cast<size_t>(page)];
}

void PageAllocator::release(int32_t page) {
  GRPO_CHECK(holders(page) > 0, "page ", page, " is free already");
  if (--holders_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

}  // namespace grpo::rollout
