#include "grpo/base/random.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <set>

namespace grpo::base {
namespace {

using Words = std::array<uint32_t, 4>;

// The known-answer vectors of philox4x32-10 in Random123 (kat_vectors).
TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// FNV-1a with 64 bits: the published values of "" and "a" and "foobar".
TEST(StreamId, IsFnv1a) {
  EXPECT_EQ(stream_id(""), 0xcbf29ce484222325u);
  EXPECT_EQ(stream_id("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(stream_id("foobar"), 0x85944171f73967e8u);
}

TEST(Uniform, DependsOnEveryPartOfTheKey) {
  const RandomKey key{.seed = 1, .stream = stream_id("train")};
  const std::set<double> numbers = {uniform(key, 0, 0, 0),
                                    uniform(key, 1, 0, 0),
                                    uniform(key, uint64_t{1} << 32, 0, 0),
                                    uniform(key, 0, 1, 0),
                                    uniform(key, 0, 0, 1),
                                    uniform({.seed = 2, .stream = key.stream}, 0, 0, 0),
                                    uniform({.seed = 1, .stream = stream_id("eval")}, 0, 0, 0)};
  EXPECT_EQ(numbers.size(), 7U);
  EXPECT_EQ(uniform(key, 5, 6, 7), uniform(key, 5, 6, 7));
}

// 100 bins of 100,000 numbers: chi-square with 99 degrees of freedom is below 160 with probability 0.9999.
TEST(Uniform, FillsTheUnitIntervalEvenly) {
  const RandomKey key{.seed = 7, .stream = 3};
  std::array<int, 100> counts{};
  for (uint64_t draw = 0; draw < 1000; ++draw) {
    for (uint32_t position = 0; position < 100; ++position) {
      const double u = uniform(key, draw, 0, position);
      ASSERT_GE(u, 0.0);
      ASSERT_LT(u, 1.0);
      ++counts[static_cast<size_t>(u * 100)];
    }
  }
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 160);
}

TEST(UniformBelow, StaysBelowAndReachesEveryValue) {
  const RandomKey key{.seed = 7, .stream = 3};
  std::array<int, 6> counts{};
  for (uint64_t draw = 0; draw < 6000; ++draw) ++counts.at(uniform_below(key, draw, 0, 6));
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);  // five standard deviations are 144
  EXPECT_EQ(uniform_below(key, 1, 2, 1), 0U);
}

TEST(Normal, HasMeanZeroAndVarianceOne) {
  const RandomKey key{.seed = 11, .stream = 0};
  double sum = 0;
  double squares = 0;
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    const double x = normal(key, static_cast<uint64_t>(i), 0);
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.016);       // five standard errors: 5 / sqrt(n)
  EXPECT_NEAR(squares / kCount, 1, 0.0224);  // 5 * sqrt(2 / n)
}

// Mean a / (a + b), variance ab / ((a + b)^2 (a + b + 1)).
TEST(Beta, HasTheMeanAndVarianceOfItsDistribution) {
  const RandomKey key{.seed = 4, .stream = stream_id("test")};
  for (const auto& [a, b] : {std::pair(1.0, 1.0), {1.0, 5.0}, {3.5, 1.2}, {40.0, 60.0}}) {
    constexpr int kCount = 20000;
    double sum = 0.0, squares = 0.0;
    for (uint64_t draw = 0; draw < kCount; ++draw) {
      const double p = beta(key, draw, a, b);
      ASSERT_GT(p, 0.0);
      ASSERT_LT(p, 1.0);
      sum += p;
      squares += p * p;
    }
    const double mean = sum / kCount, variance = squares / kCount - mean * mean;
    const double expected = a * b / ((a + b) * (a + b) * (a + b + 1.0));
    EXPECT_NEAR(mean, a / (a + b), 5.0 * std::sqrt(expected / kCount)) << a << " " << b;
    EXPECT_NEAR(variance, expected, 0.06 * expected) << a << " " << b;
  }
}

// With a = b = 1 it is uniform; the share below a point is that of the distribution function, 1 - (1 - x)^b for a = 1.
TEST(Beta, HasTheSharesOfItsDistributionFunction) {
  const RandomKey key{.seed = 5, .stream = stream_id("test")};
  constexpr int kCount = 20000;
  for (const double b : {1.0, 4.0}) {
    for (const double x : {0.05, 0.2, 0.5, 0.9}) {
      int below = 0;
      for (uint64_t draw = 0; draw < kCount; ++draw) below += beta(key, draw, 1.0, b) < x ? 1 : 0;
      EXPECT_NEAR(below / static_cast<double>(kCount), 1.0 - std::pow(1.0 - x, b), 0.018) << b << " " << x;
    }
  }
}

TEST(Permutation, HoldsEveryIndexOnce) {
  const RandomKey key{.seed = 1, .stream = stream_id("shuffle")};
  for (const int64_t n : {1, 2, 3, 17, 1000}) {
    const auto order = permutation(key, 0, n);
    const std::set<int64_t> distinct(order.begin(), order.end());
    EXPECT_EQ(static_cast<int64_t>(order.size()), n);
    EXPECT_EQ(static_cast<int64_t>(distinct.size()), n);
    EXPECT_EQ(*distinct.begin(), 0);
    EXPECT_EQ(*distinct.rbegin(), n - 1);
  }
  EXPECT_TRUE(permutation(key, 0, 0).empty());
}

TEST(Permutation, DependsOnKeyAndRoundAlone) {
  const RandomKey key{.seed = 1, .stream = 2};
  EXPECT_EQ(permutation(key, 3, 50), permutation(key, 3, 50));
  EXPECT_NE(permutation(key, 3, 50), permutation(key, 4, 50));
  EXPECT_NE(permutation(key, 3, 50), permutation({.seed = 2, .stream = 2}, 3, 50));
}

// All 24 orders of four elements, 12,000 rounds: each 500 times, within five standard deviations (109).
TEST(Permutation, MakesEveryOrderEquallyOften) {
  const RandomKey key{.seed = 5, .stream = 0};
  std::map<std::vector<int64_t>, int> counts;
  for (uint64_t round = 0; round < 12'000; ++round) ++counts[permutation(key, round, 4)];
  EXPECT_EQ(counts.size(), 24U);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, 500, 110);
}

}  // namespace
}  // namespace grpo::base
