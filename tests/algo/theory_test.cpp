#include "grpo/algo/theory.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace grpo::algo {
namespace {

// Calls use(outcome, probability) for every outcome of `count` completions, each of which is one of `kinds`.
template <typename Use>
void for_each_outcome(const std::vector<double>& kinds, int64_t count, const Use& use) {
  std::vector<size_t> outcome(static_cast<size_t>(count), 0);
  std::function<void(size_t, double)> choose = [&](size_t i, double probability) {
    if (i == outcome.size()) return use(outcome, probability);
    for (size_t kind = 0; kind < kinds.size(); ++kind) {
      outcome[i] = kind;
      choose(i + 1, probability * kinds[kind]);
    }
  };
  choose(0, 1.0);
}

TEST(ExpectedAdvantage, IsTheRewardLessTheAccuracyForPairs) {
  for (const double p : {0.02, 0.3, 0.5, 0.97}) {
    const AdvantageConfig config{.std_eps = 0.0};
    EXPECT_NEAR(expected_advantage(config, p, 2, true), 1.0 - p, 1e-12);
    EXPECT_NEAR(expected_advantage(config, p, 2, false), -p, 1e-12);
  }
}

TEST(ExpectedAdvantage, TendsToTheStandardisedRewardInLargeGroups) {
  const double p = 0.3;
  EXPECT_NEAR(expected_advantage({}, p, 2048, true), (1.0 - p) / std::sqrt(p * (1.0 - p)), 2e-3);
  EXPECT_NEAR(expected_advantage({}, p, 2048, false), -p / std::sqrt(p * (1.0 - p)), 2e-3);
}

// The expectation goes over the groups themselves, not over the number of right ones in them, and the deviation is
// written out.
TEST(ExpectedAdvantage, EqualsTheMeanOverAllGroups) {
  const double p = 0.35;
  for (const int64_t size : {3, 5}) {
    double expected = 0.0;
    for_each_outcome({1.0 - p, p}, size - 1, [&](const std::vector<size_t>& others, double probability) {
      double right = 1.0;
      for (const size_t other : others) right += static_cast<double>(other);
      const double mean = right / static_cast<double>(size), deviation = std::sqrt(mean * (1.0 - mean));
      if (deviation > 0.0) expected += probability * (1.0 - mean) / deviation;
    });
    EXPECT_NEAR(expected_advantage({.std_eps = 0.0}, p, size, true), expected, 1e-12) << size;
  }
}

TEST(TiedProbability, IsThatOfAllGroupsWithEqualRewards) {
  double tied = 0.0;
  for_each_outcome({0.8, 0.2}, 4, [&](const std::vector<size_t>& rewards, double probability) {
    const bool equal = std::equal(rewards.begin() + 1, rewards.end(), rewards.begin());
    tied += equal ? probability : 0.0;
  });
  EXPECT_NEAR(tied_probability(0.2, 4), tied, 1e-12);
}

TEST(RightInRounds, IsNoLessThanAllSamplesAtOnceWhereThePolicyGetsBetter) {
  EXPECT_NEAR(right_in_rounds({0.1, 0.1, 0.1}, 2), right_in_rounds({0.1}, 6), 1e-12);
  EXPECT_GT(right_in_rounds({0.1, 0.15, 0.2}, 2), right_in_rounds({0.1}, 6));
  EXPECT_NEAR(right_in_rounds({0.5, 1.0}, 2), 1.0, 1e-12);
}

// The variance of rloo's estimate for one prompt, over all groups of completions of three kinds with these
// probabilities, rewards and scores.
double variance_by_enumeration(int64_t group_size) {
  const std::vector<double> probabilities = {0.5, 0.3, 0.2}, rewards = {0.0, 1.0, 1.0}, scores = {-1.0, 0.4, 1.9};
  double mean = 0.0, square = 0.0;
  for_each_outcome(probabilities, group_size, [&](const std::vector<size_t>& group, double probability) {
    const auto g = static_cast<double>(group_size);
    double sum = 0.0, estimate = 0.0;
    for (const size_t kind : group) sum += rewards[kind];
    for (const size_t kind : group) estimate += (rewards[kind] - (sum - rewards[kind]) / (g - 1.0)) * scores[kind] / g;
    mean += probability * estimate;
    square += probability * estimate * estimate;
  });
  return square - mean * mean;
}

// The variances come from enumeration, which knows nothing of U-statistics. Three group sizes determine the components,
// and the variances at other sizes must follow from these.
TEST(GroupVariance, PredictsOtherGroupSizesThanThoseItWasFittedTo) {
  const auto fit = fit_group_variance(
      {2, 3, 7}, {variance_by_enumeration(2), variance_by_enumeration(3), variance_by_enumeration(7)});
  EXPECT_NEAR(fit.between, 0.0, 1e-9);
  EXPECT_GE(fit.second, 2.0 * fit.first - 1e-9);
  for (const int64_t size : {4, 5, 6, 8}) EXPECT_NEAR(fit.at(size), variance_by_enumeration(size), 1e-9) << size;
}

TEST(GroupVariance, LeavesOutAComponentThatWouldBeNegative) {
  const auto fit = fit_group_variance({2, 4, 8, 16}, {1.0, 0.45, 0.2, 0.11});
  EXPECT_GE(fit.between, 0.0);
  EXPECT_GE(fit.first, 0.0);
  EXPECT_GE(fit.second, 0.0);
  for (const int64_t size : {2, 4, 8, 16}) EXPECT_GT(fit.at(size), 0.0);
}

}  // namespace
}  // namespace grpo::algo
