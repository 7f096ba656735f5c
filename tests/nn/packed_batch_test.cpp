#include "grpo/nn/packed_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <stdexcept>

namespace grpo::nn {
namespace {

using ::testing::ElementsAre;

TEST(PackedBatch, LaysSequencesEndToEnd) {
  const auto batch = PackedBatch::pack({{7, 8, 9}, {5}, {6, 4}});
  EXPECT_THAT(batch.offsets, ElementsAre(0, 3, 4, 6));
  EXPECT_EQ(batch.num_tokens(), 6);
  EXPECT_TRUE(at::equal(batch.ids, at::tensor({7, 8, 9, 5, 6, 4}, at::kLong)));
  EXPECT_TRUE(at::equal(batch.positions, at::tensor({0, 1, 2, 0, 0, 1}, at::kLong)));
}

TEST(PackedBatch, RefusesASequenceWithoutIds) { EXPECT_THROW(PackedBatch::pack({{1}, {}}), std::logic_error); }

}  // namespace
}  // namespace grpo::nn
