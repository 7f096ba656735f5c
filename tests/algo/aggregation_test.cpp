#include "grpo/algo/aggregation.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include "algo/golden_arrays.h"

namespace grpo::algo {
namespace {

using ::testing::ElementsAre;

const std::vector<int64_t> kOffsets = {0, 2, 2, 5};  // the second rollout has no token
constexpr double kTolerance = 1e-6;                  // the weights are float32
const Denominators kWhole{.tokens = 5, .rollouts = 3, .max_new_tokens = 4};

double loss(Aggregation aggregation, const at::Tensor& mask = {}) {
  return weighted_loss(at::tensor({1.0, 2.0, 3.0, 4.0, 6.0}, at::kFloat), kOffsets, aggregation, kWhole, mask)
      .item<double>();
}

TEST(TokenWeights, OfFiveTermsIsTheNumberWorkedOutByHand) {
  EXPECT_NEAR(loss(Aggregation::kTokenMean), 16.0 / 5.0, kTolerance);
  EXPECT_NEAR(loss(Aggregation::kSeqMeanTokenMean), (1.5 + 0.0 + 13.0 / 3.0) / 3.0, kTolerance);
  EXPECT_NEAR(loss(Aggregation::kSeqMeanTokenSum), 16.0 / 3.0, kTolerance);
  EXPECT_NEAR(loss(Aggregation::kSeqMeanTokenSumNorm), 16.0 / 12.0, kTolerance);
  EXPECT_THAT(enum_names(Aggregation{}),
              ElementsAre("token_mean", "seq_mean_token_mean", "seq_mean_token_sum", "seq_mean_token_sum_norm"));
}

TEST(TokenWeights, LeavesMaskedTokensOutOfSumsAndOwnLengths) {
  const auto mask = at::tensor({0, 1, 1, 0, 1}).to(at::kBool);
  EXPECT_NEAR(loss(Aggregation::kTokenMean, mask), 11.0 / 5.0, kTolerance);
  EXPECT_NEAR(loss(Aggregation::kSeqMeanTokenMean, mask), (2.0 + 4.5) / 3.0, kTolerance);
}

TEST(TokenWeights, GivesZeroWhenNothingCounts) {
  for (const auto aggregation : {Aggregation::kTokenMean, Aggregation::kSeqMeanTokenMean}) {
    EXPECT_EQ(weighted_loss(at::tensor({1.0, 2.0}, at::kFloat), {0, 2}, aggregation, {}).item<double>(), 0.0);
  }
  EXPECT_THROW(loss_scale(Aggregation::kSeqMeanTokenSumNorm, {.tokens = 1, .rollouts = 1}), std::logic_error);
}

class EveryAggregation : public ::testing::TestWithParam<Aggregation> {};

// Losses and gradients of the parts of a split add up to those of the whole, if all have the denominators of the whole.
TEST_P(EveryAggregation, SharesOfASplitAddUpToTheWhole) {
  at::manual_seed(3);
  const auto mask = at::rand({12}).gt(0.3);
  const std::vector<int64_t> offsets = {0, 1, 5, 5, 9, 12};
  const Denominators sums{.tokens = mask.sum().item<double>(), .rollouts = 5, .max_new_tokens = 7};
  const auto whole = at::randn({12}, at::kFloat).requires_grad_();
  const auto parts = whole.detach().clone().requires_grad_();
  const auto whole_loss = weighted_loss(whole, offsets, GetParam(), sums, mask);
  whole_loss.backward();
  double share = 0.0;
  for (const auto& [first, last] : std::vector<std::pair<size_t, size_t>>{{0, 1}, {1, 3}, {3, 5}}) {
    std::vector<int64_t> local;
    for (size_t i = first; i <= last; ++i) local.push_back(offsets[i] - offsets[first]);
    const auto part = weighted_loss(parts.slice(0, offsets[first], offsets[last]), local, GetParam(), sums,
                                    mask.slice(0, offsets[first], offsets[last]));
    part.backward();
    share += part.item<double>();
  }
  EXPECT_NEAR(share, whole_loss.item<double>(), kTolerance);
  EXPECT_EQ((whole.grad() - parts.grad()).abs().max().item<double>(), 0.0);
}

INSTANTIATE_TEST_SUITE_P(Aggregations, EveryAggregation,
                         ::testing::Values(Aggregation::kTokenMean, Aggregation::kSeqMeanTokenMean,
                                           Aggregation::kSeqMeanTokenSum, Aggregation::kSeqMeanTokenSumNorm));

TEST(CountDenominators, FollowsScopeAndEmptyRows) {
  const std::vector<RolloutCount> rollouts = {{.tokens = 4, .live = true},
                                              {.tokens = 0, .live = true},
                                              {.tokens = 7, .live = false},
                                              {.tokens = 0, .live = false}};
  const auto counts = [&](DenominatorScope scope, EmptyRows empty_rows) {
    const auto sums = count_denominators(rollouts, scope, empty_rows);
    return std::vector<double>{sums.tokens, sums.rollouts};
  };
  EXPECT_THAT(counts(DenominatorScope::kAll, EmptyRows::kCount), ElementsAre(11, 4));
  EXPECT_THAT(counts(DenominatorScope::kAll, EmptyRows::kSkip), ElementsAre(11, 2));
  EXPECT_THAT(counts(DenominatorScope::kLive, EmptyRows::kCount), ElementsAre(4, 2));
  EXPECT_THAT(counts(DenominatorScope::kLive, EmptyRows::kSkip), ElementsAre(4, 1));
  EXPECT_THAT(enum_names(DenominatorScope{}), ElementsAre("all", "live"));
  EXPECT_THAT(enum_names(EmptyRows{}), ElementsAre("count", "skip"));
}

}  // namespace
}  // namespace grpo::algo
