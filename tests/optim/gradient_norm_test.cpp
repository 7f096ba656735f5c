#include "grpo/optim/gradient_norm.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "optim/foreach_norm.h"

namespace grpo::optim {
namespace {

TEST(GradientNorm, IsOverAllTensorsOfAnyShape) {
  EXPECT_NEAR(gradient_norm({at::full({2, 2}, 1.0f), at::zeros({0}), at::full({5}, -2.0f), at::full({}, 1.0f)}), 5.0,
              1e-6);
  EXPECT_EQ(gradient_norm({}), 0.0);
}

// 40 million equal terms: an fp32 running sum would stop growing at 2^24 of them.
TEST(GradientNorm, KeepsSmallTermsInLargeTensors) {
  const int64_t n = 40'000'003;
  EXPECT_NEAR(gradient_norm({at::full({n}, 1e-3f)}) / (1e-3 * std::sqrt(static_cast<double>(n))), 1.0, 1e-6);
}

TEST(GradientNorm, IsNotFiniteWhenAnElementIsNot) {
  auto gradient = at::zeros({70000});
  for (const int64_t place : {3, 69999}) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      auto spoiled = gradient.clone();
      spoiled[place] = bad;
      EXPECT_FALSE(std::isfinite(gradient_norm({at::ones({2}), spoiled})));
    }
  }
}

// The way of a device, whose operators are the CPU's here.
TEST(ForeachNorm, EqualsTheNormOfTheCpu) {
  at::manual_seed(1);
  const std::vector<at::Tensor> gradients = {at::randn({300, 70}), at::zeros({0}), at::randn({}), at::full({3}, 1e25f)};
  EXPECT_NEAR(foreach_norm({gradients[0], gradients[1], gradients[2]}) /
                  gradient_norm({gradients[0], gradients[1], gradients[2]}),
              1.0, 1e-6);
  EXPECT_NEAR(foreach_norm(gradients) / (1e25 * std::sqrt(3.0)), 1.0,
              1e-6);  // squares of what fp32 holds fit into double
  EXPECT_EQ(foreach_norm({at::zeros({0})}), 0.0);
  EXPECT_EQ(foreach_norm({}), 0.0);
  EXPECT_FALSE(std::isfinite(foreach_norm({at::ones({2}), at::full({5}, std::numeric_limits<float>::infinity())})));
}

TEST(ClipScale, IsTorchsFormulaAndOffAtZero) {
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_scale(0.0, 1.0), 1.0);
  EXPECT_NEAR(clip_scale(4.0, 1.0), 1.0 / 4.000001, 1e-15);
  EXPECT_EQ(clip_scale(1e9, 0.0), 1.0);
}

}  // namespace
}  // namespace grpo::optim
