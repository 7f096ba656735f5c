#include "kernels/page_lists.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace grpo::kernels {
namespace {

// pages: the number of each sequence's pages, which are 0, 1, 2, ...
PagedLayout layout(const std::vector<int32_t>& queries, const std::vector<int32_t>& lengths,
                   const std::vector<int32_t>& pages) {
  std::vector<int32_t> offsets = {0};
  for (const int32_t count : pages) offsets.push_back(offsets.back() + count);
  return {.query_offsets = at::tensor(queries, at::kInt),
          .context_lengths = at::tensor(lengths, at::kInt),
          .page_offsets = at::tensor(offsets, at::kInt),
          .page_ids = at::arange(offsets.back(), at::kInt),
          .schedule = nullptr};
}

TEST(PageLists, TellHowFullEachLastPageIs) {
  const auto lengths = last_page_lengths(layout({0, 1, 2, 3}, {20, 16, 33}, {2, 1, 3}), 16);
  EXPECT_TRUE(at::equal(lengths, at::tensor({4, 16, 1}, at::kInt)));
}

TEST(PageLists, RefuseSequencesOfMoreOrFewerPagesThanTheyNeed) {
  EXPECT_THROW(last_page_lengths(layout({0, 1}, {33}, {2}), 16), std::logic_error);
  EXPECT_THROW(last_page_lengths(layout({0, 1}, {32}, {3}), 16), std::logic_error);
  EXPECT_THROW(last_page_lengths(layout({0, 1}, {0}, {1}), 16), std::logic_error);
  EXPECT_THROW(last_page_lengths(layout({0, 1}, {0}, {0}), 16), std::logic_error);
}

TEST(PageLists, TellDecodeStepsFromPrefills) {
  EXPECT_TRUE(adds_one_token_each(layout({0, 1, 2}, {5, 9}, {1, 1})));
  EXPECT_FALSE(adds_one_token_each(layout({0, 1, 3}, {5, 9}, {1, 1})));
}

TEST(PageLists, KeepTheirPlaceWhenTheyGrow) {
  Upload upload(at::kCPU, /*in_place=*/true);
  const auto first = send_layout(layout({0, 1, 2}, {5, 9}, {1, 1}), upload, /*capacity=*/6);
  const auto second = send_layout(layout({0, 1, 2}, {25, 70}, {2, 4}), upload, 6);
  EXPECT_EQ(first.page_ids.const_data_ptr(), second.page_ids.const_data_ptr());
  EXPECT_TRUE(at::equal(second.page_ids, at::arange(6, at::kInt)));
  EXPECT_TRUE(at::equal(second.page_offsets, at::tensor({0, 2, 6}, at::kInt)));
  EXPECT_THROW(send_layout(layout({0, 1, 2}, {25, 90}, {2, 5}), upload, 6), std::logic_error);
}

}  // namespace
}  // namespace grpo::kernels
