#include "grpo/algo/packed.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace grpo::algo {
namespace {

TEST(Packed, RepeatsAndSumsOverRaggedRolloutsWithEmptyOnes) {
  const std::vector<int64_t> offsets = {0, 0, 2, 5, 5};
  const auto tokens = per_token(at::tensor({9.0, 1.0, 2.0, 8.0}, at::kDouble), offsets);
  EXPECT_TRUE(tokens.equal(at::tensor({1.0, 1.0, 2.0, 2.0, 2.0}, at::kDouble)));
  EXPECT_TRUE(sum_per_rollout(tokens, offsets).equal(at::tensor({0.0, 2.0, 6.0, 0.0}, at::kDouble)));
}

TEST(Packed, CountsTokensWithAndWithoutAMask) {
  const std::vector<int64_t> offsets = {0, 2, 5};
  EXPECT_TRUE(tokens_per_rollout({}, offsets).equal(at::tensor({2.0, 3.0}, at::kDouble)));
  const auto mask = at::tensor({0, 0, 1, 0, 1}).to(at::kBool);
  EXPECT_TRUE(tokens_per_rollout(mask, offsets).equal(at::tensor({0.0, 2.0}, at::kDouble)));
}

TEST(Packed, ChecksThatOffsetsFit) {
  const auto values = at::tensor({1.0, 2.0}, at::kDouble);
  EXPECT_THROW(per_token(values, {0, 3}), std::logic_error);
  EXPECT_THROW(sum_per_rollout(values, {0, 3}), std::logic_error);
  EXPECT_THROW(sum_per_rollout(values, {1, 2}), std::logic_error);
}

}  // namespace
}  // namespace grpo::algo
