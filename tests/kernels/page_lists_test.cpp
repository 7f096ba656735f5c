#include "kernels/page_lists.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace grpo::kernels {
namespace {

PagedLayout layout(const std::vector<int32_t>& offsets, const std::vector<int32_t>& lengths, const at::Tensor& pages) {
  return {at::tensor(offsets, at::kInt), at::tensor(lengths, at::kInt), pages.to(at::kInt), nullptr};
}

TEST(PageLists, LeaveOutWhatPadsTheTable) {
  const auto pages = at::tensor({7, 3, -1, 5, -1, -1, 9, 8, 2}).view({3, 3});
  const auto lists = page_lists(layout({0, 1, 2, 3}, {20, 16, 33}, pages), 16);
  EXPECT_TRUE(at::equal(lists.offsets, at::tensor({0, 2, 3, 6}, at::kInt)));
  EXPECT_TRUE(at::equal(lists.ids, at::tensor({7, 3, 5, 9, 8, 2, 0, 0, 0}, at::kInt)));
  EXPECT_TRUE(at::equal(lists.last_lengths, at::tensor({4, 16, 1}, at::kInt)));
}

TEST(PageLists, RefuseSequencesOutsideTheTable) {
  const auto pages = at::zeros({1, 2});
  EXPECT_THROW(page_lists(layout({0, 1}, {33}, pages), 16), std::logic_error);
  EXPECT_THROW(page_lists(layout({0, 1}, {0}, pages), 16), std::logic_error);
}

TEST(PageLists, TellDecodeStepsFromPrefills) {
  const auto pages = at::zeros({2, 2});
  EXPECT_TRUE(adds_one_token_each(layout({0, 1, 2}, {5, 9}, pages)));
  EXPECT_FALSE(adds_one_token_each(layout({0, 1, 3}, {5, 9}, pages)));
}

}  // namespace
}  // namespace grpo::kernels
