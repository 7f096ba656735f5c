#include "models/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/pow.h>
#include <gtest/gtest.h>

#include <cmath>

namespace grpo::models {
namespace {

TEST(RopeFrequencies, AreThoseOfTransformersBitForBit) {
  // 1 / theta^(2i / d), each operation in fp32: one unit in the last place is 2e-3 radians at position 30,000.
  for (const double theta : {10000.0, 500000.0, 1000000.0}) {
    const auto expected = at::pow(theta, at::arange(0, 128, 2, at::kLong).to(at::kFloat) / 128).reciprocal();
    EXPECT_TRUE(at::equal(rope_frequencies({.theta = theta}, 128).inv_freq, expected)) << theta;
  }
}

TEST(RopeFrequencies, AreDividedByALinearFactor) {
  const auto plain = rope_frequencies({}, 16);
  const auto linear = rope_frequencies({.scaling = RopeConfig::Scaling::kLinear, .factor = 4.0}, 16);
  EXPECT_TRUE(at::equal(linear.inv_freq, plain.inv_freq / 4.0));
  EXPECT_EQ(linear.attention_scaling, 1.0);
}

TEST(RopeFrequencies, OfYarnTakeTheAttentionFactorGiven) {
  RopeConfig yarn{.scaling = RopeConfig::Scaling::kYarn, .factor = 4.0, .original_max_positions = 32};
  EXPECT_NEAR(rope_frequencies(yarn, 16).attention_scaling, 0.1 * std::log(4.0) + 1.0, 1e-12);
  yarn.attention_factor = 0.75;
  EXPECT_EQ(rope_frequencies(yarn, 16).attention_scaling, 0.75);
  yarn.attention_factor.reset();
  yarn.mscale = 2.0;
  yarn.mscale_all_dim = 1.0;
  EXPECT_NEAR(rope_frequencies(yarn, 16).attention_scaling, (0.2 * std::log(4.0) + 1.0) / (0.1 * std::log(4.0) + 1.0),
              1e-12);
}

TEST(RopeTables, DoNotDependOnHowFarTheyReach) {
  const auto frequencies = rope_frequencies({}, 32);
  const auto shorter = rope_tables(frequencies, 100, at::kCPU);
  const auto longer = rope_tables(frequencies, 5000, at::kCPU);
  EXPECT_TRUE(at::equal(shorter.first, longer.first.narrow(0, 0, 100)));
  EXPECT_TRUE(at::equal(shorter.second, longer.second.narrow(0, 0, 100)));
}

}  // namespace
}  // namespace grpo::models
