#include "grpo/algo/advantage.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "grpo/base/error.h"
#include "support/message_of.h"

namespace grpo::algo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<double> to_vector(const at::Tensor& tensor) {
  const auto flat = tensor.to(at::kDouble).contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

std::vector<double> advantages(const std::vector<double>& rewards, const std::vector<int64_t>& offsets,
                               const AdvantageConfig& config) {
  return to_vector(group_advantage(at::tensor(rewards, at::kDouble), offsets, config));
}

TEST(AdvantageNames, AreThoseOfTheDocumentation) {
  EXPECT_THAT(enum_names(Advantage{}), ElementsAre("grpo", "dr_grpo", "rloo", "batch_std", "reinforce_pp"));
  EXPECT_THAT(enum_names(Std{}), ElementsAre("population", "sample"));
}

struct FiveNumbers {
  const char* name;
  AdvantageConfig config;
  std::vector<double> expected;
};
void PrintTo(const FiveNumbers& row, std::ostream* out) { *out << row.name; }

class AdvantageOfFive : public ::testing::TestWithParam<FiveNumbers> {};

// By hand, for the groups {1, 2, 6} and {0, 4}: the means are 3 and 2, the rewards less their mean -2 -1 3 and -2 2,
// the population variances 14/3 and 4, the sample variances 7 and 8. All five rewards have the mean 2.6, and their
// squared differences from it add up to 23.2. All five less the mean of their group have the mean 0 and squares that
// add up to 22.
TEST_P(AdvantageOfFive, IsTheNumberWorkedOutByHand) {
  const auto values = advantages({1, 2, 6, 0, 4}, {0, 3, 5}, GetParam().config);
  ASSERT_EQ(values.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(values[i], GetParam().expected[i], 1e-12) << i;
}

const double kPop3 = std::sqrt(14.0 / 3.0), kSam3 = std::sqrt(7.0), kSam2 = std::sqrt(8.0);
const double kBatch = std::sqrt(23.2 / 5.0), kCentred = std::sqrt(22.0 / 5.0), kCentredSample = std::sqrt(22.0 / 4.0);
INSTANTIATE_TEST_SUITE_P(
    Estimators, AdvantageOfFive,
    ::testing::Values(FiveNumbers{"grpo population",
                                  {Advantage::kGrpo, Std::kPopulation, 0.0},
                                  {-2 / kPop3, -1 / kPop3, 3 / kPop3, -1, 1}},
                      FiveNumbers{"grpo population with eps",
                                  {Advantage::kGrpo, Std::kPopulation, 0.5},
                                  {-2 / (kPop3 + 0.5), -1 / (kPop3 + 0.5), 3 / (kPop3 + 0.5), -0.8, 0.8}},
                      FiveNumbers{"grpo sample",
                                  {Advantage::kGrpo, Std::kSample, 0.0},
                                  {-2 / kSam3, -1 / kSam3, 3 / kSam3, -2 / kSam2, 2 / kSam2}},
                      FiveNumbers{"dr_grpo", {Advantage::kDrGrpo, Std::kPopulation, 1e-6}, {-2, -1, 3, -2, 2}},
                      FiveNumbers{"rloo", {Advantage::kRloo, Std::kPopulation, 1e-6}, {-3, -1.5, 4.5, -4, 4}},
                      FiveNumbers{"batch_std",
                                  {Advantage::kBatchStd, Std::kPopulation, 0.0},
                                  {-2 / kBatch, -1 / kBatch, 3 / kBatch, -2 / kBatch, 2 / kBatch}},
                      FiveNumbers{"reinforce_pp",
                                  {Advantage::kReinforcePp, Std::kPopulation, 0.0},
                                  {-2 / kCentred, -1 / kCentred, 3 / kCentred, -2 / kCentred, 2 / kCentred}},
                      FiveNumbers{"reinforce_pp with eps",
                                  {Advantage::kReinforcePp, Std::kPopulation, 0.5},
                                  {-2 / (kCentred + 0.5), -1 / (kCentred + 0.5), 3 / (kCentred + 0.5),
                                   -2 / (kCentred + 0.5), 2 / (kCentred + 0.5)}},
                      FiveNumbers{"reinforce_pp sample",
                                  {Advantage::kReinforcePp, Std::kSample, 0.0},
                                  {-2 / kCentredSample, -1 / kCentredSample, 3 / kCentredSample, -2 / kCentredSample,
                                   2 / kCentredSample}}));

TEST(GroupAdvantage, OfAPairIsPlusMinusOneUpToTheEps) {
  const AdvantageConfig config;
  const double one = 0.5 / (0.5 + config.std_eps);
  EXPECT_THAT(advantages({1, 0, 0, 1, 1, 1, 0, 0}, {0, 2, 4, 6, 8}, config),
              ElementsAre(one, -one, -one, one, 0, 0, 0, 0));
  EXPECT_NEAR(one, 1.0, 2.1e-6);
  const auto sample = advantages({1, 0}, {0, 2}, {.std = Std::kSample});
  EXPECT_NEAR(sample[0], std::sqrt(0.5), 2e-6);
}

class EveryEstimator : public ::testing::TestWithParam<Advantage> {};

// The float mean of 16 times -0.7 is off by one unit in the last place, which a division by the deviation would
// amplify.
TEST_P(EveryEstimator, GivesExactlyZeroToEqualRewardsAndToGroupsOfOne) {
  std::vector<float> rewards(16, -0.7f);
  rewards.insert(rewards.end(), {3.0f, 1.0f, 2.0f});
  for (const Std std : {Std::kPopulation, Std::kSample}) {
    const auto values = to_vector(group_advantage(at::tensor(rewards), {0, 16, 17, 19}, {GetParam(), std, 0.0}));
    for (size_t i = 0; i < 17; ++i) EXPECT_EQ(values[i], 0.0) << i;
    EXPECT_LT(values[17], 0.0);
    EXPECT_NEAR(values[17], -values[18], 1e-6);
  }
}

TEST_P(EveryEstimator, StaysFiniteWhenNoGroupIsLive) {
  for (const Std std : {Std::kPopulation, Std::kSample}) {
    EXPECT_THAT(advantages({2, 2, 5}, {0, 2, 3}, {GetParam(), std, 0.0}), ElementsAre(0, 0, 0));
    EXPECT_TRUE(advantages({}, {0}, {GetParam(), std, 0.0}).empty());
    EXPECT_THAT(advantages({4}, {0, 1}, {GetParam(), std, 0.0}), ElementsAre(0));
  }
}

// 0.1 + 0.2 is one unit in the last place more than 0.3. They are the same reward, added up from other terms.
TEST_P(EveryEstimator, TakesRewardsThatDifferByRoundingForEqual) {
  const double sum = 0.1 + 0.2;
  ASSERT_NE(sum, 0.3);
  for (const Std std : {Std::kPopulation, Std::kSample}) {
    for (const double eps : {0.0, 1e-6}) {
      EXPECT_THAT(advantages({sum, 0.3, 1e6 * sum, 1e6 * 0.3}, {0, 2, 4}, {GetParam(), std, eps}),
                  ElementsAre(0, 0, 0, 0));
    }
  }
}

// Terms of 0.1, 0.2 and -0.3 add up to 6e-17. That is large compared with a reward of 0, but only rounding compared
// with the terms.
TEST_P(EveryEstimator, MeasuresRoundingByTheTermsWhereTheyCancel) {
  const auto rewards = at::tensor({0.1 + 0.2 - 0.3, 0.0}, at::kDouble);
  const auto values =
      group_advantage(rewards, {0, 2}, {.kind = GetParam(), .std_eps = 0.0}, at::tensor({0.6, 0.0}, at::kDouble));
  EXPECT_EQ(values.abs().max().item<double>(), 0.0);
}

TEST_P(EveryEstimator, StillTellsRewardsApartThatDifferByMoreThanRounding) {
  const auto values = advantages({1.0, 1.0 + 1e-8}, {0, 2}, {.kind = GetParam(), .std_eps = 0.0});
  EXPECT_GT(values[1], 0.0);
  EXPECT_LT(values[0], 0.0);
}

TEST_P(EveryEstimator, NamesTheRewardThatIsNotFinite) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    try {
      advantages({1, 0, 1, bad, 0}, {0, 2, 5}, {.kind = GetParam()});
      FAIL() << "no error";
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("reward 3 (group 1, completion 1)"));
    }
  }
}

TEST_P(EveryEstimator, KeepsTheDtypeAndTakesNoGradient) {
  const auto rewards = at::tensor({1.0f, 0.0f}).requires_grad_();
  const auto values = group_advantage(rewards, {0, 2}, {.kind = GetParam()});
  EXPECT_EQ(values.scalar_type(), at::kFloat);
  EXPECT_FALSE(values.requires_grad());
}

INSTANTIATE_TEST_SUITE_P(Estimators, EveryEstimator,
                         ::testing::Values(Advantage::kGrpo, Advantage::kDrGrpo, Advantage::kRloo, Advantage::kBatchStd,
                                           Advantage::kReinforcePp));

// The spread of the whole step is that of the numbers themselves, also where they are large beside it.
TEST(GroupAdvantage, OfTheWholeStepIsPreciseFarFromZero) {
  const double deviation = std::sqrt(5.0 / 4.0);  // of 0, 1, 2, 3
  const auto values =
      advantages({1e8, 1e8 + 1, 1e8 + 2, 1e8 + 3}, {0, 2, 4}, {.kind = Advantage::kBatchStd, .std_eps = 0.0});
  for (const size_t i : {0U, 2U}) EXPECT_NEAR(values[i], -0.5 / deviation, 1e-12);
  for (const size_t i : {1U, 3U}) EXPECT_NEAR(values[i], 0.5 / deviation, 1e-12);
  EXPECT_TRUE(looks_beyond_group(Advantage::kBatchStd));
  EXPECT_TRUE(looks_beyond_group(Advantage::kReinforcePp));
  EXPECT_FALSE(looks_beyond_group(Advantage::kGrpo));
}

TEST(GroupAdvantage, RejectsOffsetsThatDoNotCutTheRewards) {
  const auto rewards = at::tensor({1.0, 0.0}, at::kDouble);
  for (const std::vector<int64_t>& offsets : std::vector<std::vector<int64_t>>{{}, {0}, {1, 2}, {0, 1}, {0, 2, 1, 2}}) {
    EXPECT_THROW(group_advantage(rewards, offsets, {}), std::logic_error);
  }
}

// E[A | x] of a rollout with reward x in {0, 1} when each of the G - 1 others is right with probability p. It is a sum
// over all 2^(G-1) groups, taken together by their number of right ones.
double expected_advantage(Advantage kind, int64_t group_size, double p, double x) {
  const auto others = static_cast<double>(group_size - 1);
  double expected = 0.0;
  for (int64_t right = 0; right < group_size; ++right) {
    const auto k = static_cast<double>(right);
    const double log_ways = std::lgamma(others + 1) - std::lgamma(k + 1) - std::lgamma(others - k + 1);
    const double probability = std::exp(log_ways + k * std::log(p) + (others - k) * std::log1p(-p));
    std::vector<double> rewards(static_cast<size_t>(group_size), 0.0);
    rewards[0] = x;
    std::fill_n(rewards.begin() + 1, right, 1.0);
    expected += probability * advantages(rewards, {0, group_size}, {.kind = kind, .std_eps = 0.0})[0];
  }
  return expected;
}

// Proposition 4.1 of arXiv 2510.00977: the advantage in a pair estimates the centred reward, that in a large group the
// centred reward divided by its deviation.
class ExpectedAdvantage : public ::testing::TestWithParam<double> {};

TEST_P(ExpectedAdvantage, OfAPairIsTheCentredReward) {
  const double p = GetParam();
  for (const double x : {0.0, 1.0}) EXPECT_NEAR(expected_advantage(Advantage::kGrpo, 2, p, x), x - p, 1e-12);
}

TEST_P(ExpectedAdvantage, OfALargeGroupIsTheStandardisedReward) {
  const double p = GetParam();
  for (const double x : {0.0, 1.0}) {
    const double limit = (x - p) / std::sqrt(p * (1.0 - p));
    double previous = std::abs(expected_advantage(Advantage::kGrpo, 2, p, x) - limit);
    for (const int64_t group_size : {16, 128, 512}) {
      const double error = std::abs(expected_advantage(Advantage::kGrpo, group_size, p, x) - limit);
      EXPECT_LT(error, previous) << group_size;
      previous = error;
    }
    EXPECT_LT(previous, 0.01 * std::abs(limit) + 0.02);
  }
}

TEST_P(ExpectedAdvantage, OfRlooIsTheCentredRewardForEveryGroupSize) {
  const double p = GetParam();
  for (const int64_t group_size : {2, 3, 8, 16}) {
    const double scale = static_cast<double>(group_size - 1) / static_cast<double>(group_size);
    for (const double x : {0.0, 1.0}) {
      EXPECT_NEAR(expected_advantage(Advantage::kRloo, group_size, p, x), x - p, 1e-12);
      EXPECT_NEAR(expected_advantage(Advantage::kDrGrpo, group_size, p, x), scale * (x - p), 1e-12);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Accuracies, ExpectedAdvantage, ::testing::Values(0.05, 0.2, 0.4, 0.5, 0.7, 0.9));

std::vector<double> against(std::vector<double> rewards, std::vector<double> baselines, const AdvantageConfig& config) {
  const auto values = baseline_advantage(at::tensor(rewards, at::kDouble), at::tensor(baselines, at::kDouble), config);
  return {values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel()};
}

// The x are 0.5, -0.5, 0.75 and 0.25. Their mean is 0.25 and their variance 0.21875.
TEST(BaselineAdvantage, DividesByTheDeviationOverTheStepWhereTheEstimatorDoes) {
  const std::vector<double> rewards = {1, 0, 1, 1}, baselines = {0.5, 0.5, 0.25, 0.75}, x = {0.5, -0.5, 0.75, 0.25};
  for (const Advantage kind : {Advantage::kDrGrpo, Advantage::kRloo})
    EXPECT_EQ(against(rewards, baselines, {.kind = kind}), x);
  const double deviation = std::sqrt(0.21875), of_sample = std::sqrt(0.875 / 3.0);
  for (const Advantage kind : {Advantage::kGrpo, Advantage::kBatchStd}) {
    const auto values = against(rewards, baselines, {.kind = kind, .std_eps = 0.0});
    const auto of_samples = against(rewards, baselines, {.kind = kind, .std = Std::kSample, .std_eps = 0.0});
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(values[i], x[i] / deviation, 1e-12);
      EXPECT_NEAR(of_samples[i], x[i] / of_sample, 1e-12);
    }
  }
  const auto centred = against(rewards, baselines, {.kind = Advantage::kReinforcePp, .std_eps = 0.0});
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(centred[i], (x[i] - 0.25) / deviation, 1e-12);
}

TEST(BaselineAdvantage, DividesByNoDeviationThatIsRounding) {
  EXPECT_THAT(against({1}, {0.25}, {.std_eps = 0.0}), ElementsAre(0.75));
  const auto equal = against({0.1 + 0.2, 0.3}, {0.1, 0.1}, {.std_eps = 0.0});
  EXPECT_NEAR(equal[0], 0.2, 1e-12);
  EXPECT_THAT(against({1, 1}, {1, 1}, {.std_eps = 0.0}), ElementsAre(0, 0));
  EXPECT_TRUE(against({}, {}, {}).empty());
}

TEST(BaselineAdvantage, NamesTheRewardThatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(testing::message_of<base::Error>([&] { against({1, nan}, {0, 0}, {}); }), HasSubstr("reward 1"));
}

}  // namespace
}  // namespace grpo::algo
