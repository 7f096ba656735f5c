#include "rollout/page_allocator.h"

#include <gtest/gtest.h>

#include <map>

#include "grpo/base/random.h"

namespace grpo::rollout {
namespace {

TEST(PageAllocator, GivesEveryPageOnceAndTakesItBackFromTheLastHolder) {
  PageAllocator pages(2);
  const auto a = pages.take();
  const auto b = pages.take();
  EXPECT_NE(a, b);
  EXPECT_EQ(pages.num_free(), 0);
  pages.share(a);
  pages.release(a);
  EXPECT_EQ(pages.num_free(), 0);
  pages.release(a);
  EXPECT_EQ(pages.num_free(), 1);
  EXPECT_EQ(pages.take(), a);
}

TEST(PageAllocator, ChecksForMisuse) {
  PageAllocator pages(1);
  EXPECT_THROW(pages.release(0), std::logic_error);
  EXPECT_THROW(pages.share(0), std::logic_error);
  pages.take();
  EXPECT_THROW(pages.take(), std::logic_error);
}

// Against a plain count of holders, over a long random history.
TEST(PageAllocator, CountsHoldersThroughAnyHistory) {
  const base::RandomKey key{5, base::stream_id("pages")};
  PageAllocator pages(20);
  std::map<int32_t, int> holders;
  for (uint64_t i = 0; i < 20000; ++i) {
    const auto action = base::uniform_below(key, i, 0, 3);
    if (action == 0 && pages.num_free() > 0) {
      const auto page = pages.take();
      ASSERT_EQ(holders.count(page), 0u);
      holders[page] = 1;
    } else if (!holders.empty()) {
      auto it = std::next(holders.begin(), static_cast<long>(base::uniform_below(key, i, 1, holders.size())));
      if (action == 1) {
        pages.share(it->first);
        ++it->second;
      } else {
        pages.release(it->first);
        if (--it->second == 0) holders.erase(it);
      }
    }
    ASSERT_EQ(pages.num_free() + static_cast<int64_t>(holders.size()), 20);
  }
}

}  // namespace
}  // namespace grpo::rollout
