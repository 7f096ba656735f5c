#include "grpo/trainer/eval_metrics.h"

#include <gtest/gtest.h>

namespace grpo::trainer {
namespace {

// By enumeration: of the C(4, 2) = 6 pairs of four samples with one right, three hold it.
TEST(PassAtK, IsTheShareOfSubsetsThatHoldARightSample) {
  EXPECT_DOUBLE_EQ(pass_at_k(4, 1, 2), 0.5);
  EXPECT_DOUBLE_EQ(pass_at_k(4, 0, 2), 0.0);
  EXPECT_DOUBLE_EQ(pass_at_k(4, 3, 2), 1.0);
  EXPECT_DOUBLE_EQ(pass_at_k(4, 2, 1), 0.5);
  EXPECT_NEAR(pass_at_k(5, 2, 2), 1.0 - 3.0 / 10.0, 1e-15);
}

TEST(PassAtK, DoesNotOverflowWithManySamples) { EXPECT_NEAR(pass_at_k(4096, 1, 1), 1.0 / 4096, 1e-12); }

TEST(MajAtK, TakesTheMostFrequentAnswer) {
  EXPECT_DOUBLE_EQ(maj_at_k({0, 0, 1}, {true, true, false}), 1.0);
  EXPECT_DOUBLE_EQ(maj_at_k({0, 1, 1}, {true, false, false}), 0.0);
}

TEST(MajAtK, SplitsTies) { EXPECT_DOUBLE_EQ(maj_at_k({0, 0, 1, 1, 2}, {true, true, false, false, false}), 0.5); }

TEST(MajAtK, CountsNoVoteForACompletionWithoutAnswer) {
  EXPECT_DOUBLE_EQ(maj_at_k({-1, -1, 0}, {false, false, true}), 1.0);
  EXPECT_DOUBLE_EQ(maj_at_k({-1, -1}, {false, false}), 0.0);
}

TEST(BootstrapMean, CoversTheMeanAndIsReproducible) {
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) values.push_back(i % 4 == 0 ? 1.0 : 0.0);
  const auto interval = bootstrap_mean(values, 7);
  EXPECT_LT(interval.low, 0.25);
  EXPECT_GT(interval.high, 0.25);
  // The normal interval is 0.25 +- 1.96 sqrt(0.25 * 0.75 / 200) = 0.25 +- 0.06.
  EXPECT_NEAR(interval.high - interval.low, 0.12, 0.02);
  EXPECT_EQ(interval.low, bootstrap_mean(values, 7).low);
}

}  // namespace
}  // namespace grpo::trainer
