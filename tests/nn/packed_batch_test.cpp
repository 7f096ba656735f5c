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

TEST(PackedBatch, LaysASharedPromptBeforeWhatContinuesIt) {
  const auto batch = PackedBatch::pack_families({{.prompt = {}, .completions = {{7, 8}, {9}}},
                                                 {.prompt = {1, 2, 3}, .completions = {{4}, {}, {5, 6}}},
                                                 {.prompt = {1}, .completions = {{}, {}}}});
  EXPECT_THAT(batch.offsets, ElementsAre(0, 2, 3, 6, 7, 9, 10));
  EXPECT_TRUE(at::equal(batch.ids, at::tensor({7, 8, 9, 1, 2, 3, 4, 5, 6, 1}, at::kLong)));
  EXPECT_TRUE(at::equal(batch.positions, at::tensor({0, 1, 0, 0, 1, 2, 3, 3, 4, 0}, at::kLong)));
  ASSERT_EQ(batch.shared.size(), 1u);  // nothing continues the last prompt
  EXPECT_EQ(batch.shared[0].prompt, 2u);
  EXPECT_EQ(batch.shared[0].end, 5u);
  EXPECT_EQ(batch.longest_text(), 5);
}

TEST(PackedBatch, RefusesASequenceWithoutIds) {
  EXPECT_THROW(PackedBatch::pack({{1}, {}}), std::logic_error);
  EXPECT_THROW(PackedBatch::pack_families({{.prompt = {}, .completions = {{}}}}), std::logic_error);
}

}  // namespace
}  // namespace grpo::nn
