#include "nn/join.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace grpo::nn {
namespace {

TEST(JoinRows, AreAViewOfNeighbours) {
  const auto memory = at::randn({7, 3});
  const auto parts = memory.split_with_sizes({4, 1, 2});
  const auto joined = join_rows({parts[0], parts[1], parts[2]});
  EXPECT_TRUE(joined.is_alias_of(memory));
  EXPECT_TRUE(at::equal(joined, memory));
  const auto middle = join_rows({parts[1], parts[2]});
  EXPECT_TRUE(middle.is_alias_of(memory));
  EXPECT_TRUE(at::equal(middle, memory.narrow(0, 4, 3)));
}

// A gap, another order, columns and other memory.
TEST(JoinRows, AreACopyOfOthers) {
  const auto memory = at::randn({7, 3});
  const auto parts = memory.split_with_sizes({4, 1, 2});
  const auto columns = memory.t().split_with_sizes({1, 2});
  for (const auto& others : {std::vector{parts[0], parts[2]}, std::vector{parts[1], parts[0]},
                             std::vector{columns[0], columns[1]}, std::vector{parts[0], parts[1].clone()}}) {
    const auto joined = join_rows(others);
    EXPECT_FALSE(joined.is_alias_of(memory));
    EXPECT_TRUE(at::equal(joined, at::cat(others)));
  }
}

TEST(JoinRows, AreAllThereOrNone) {
  EXPECT_FALSE(join_rows({at::Tensor(), at::Tensor()}).defined());
  EXPECT_THROW(join_rows({at::ones({2}), at::Tensor()}), std::logic_error);
}

TEST(SplitLike, GivesViewsInTheirOrder) {
  const auto x = at::randn({2, 7});
  const auto pieces = split_like(x, {at::empty({4, 3}), at::empty({1, 3}), at::empty({2, 3})}, 1);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_TRUE(at::equal(at::cat(pieces, 1), x));
  EXPECT_TRUE(pieces[2].is_alias_of(x));
}

}  // namespace
}  // namespace grpo::nn
