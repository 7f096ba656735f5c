#include "grpo/nn/prepacked_linear.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "grpo/nn/product_path.h"
#include "kernels/every_cpu.h"

namespace grpo::nn {
namespace {

using testing::with_every_cpu;

TEST(PrepackedLinear, EqualsThePlainOneForAnyNumberOfRows) {
  at::manual_seed(4);
  with_every_cpu([] {
    const auto weight = at::randn({35, 24}).set_requires_grad(true);
    const auto bias = at::randn({35});
    const auto packed = prepack_linear(weight);
    for (const int64_t rows : {1, 3, 32, 500}) {
      const auto x = at::randn({rows, 24});
      EXPECT_TRUE(at::allclose(prepacked_linear(x, packed, bias), at::linear(x, weight, bias), 1e-5, 1e-5)) << rows;
      EXPECT_TRUE(at::allclose(prepacked_linear(x, packed, {}), at::linear(x, weight), 1e-5, 1e-5)) << rows;
    }
  });
}

TEST(PrepackedLinear, EqualsThePlainOneInBf16UpToItsRounding) {
  at::manual_seed(5);
  with_every_cpu([] {
    const auto weight = at::randn({35, 24}).to(at::kBFloat16);
    const auto bias = at::randn({35}).to(at::kBFloat16);
    const auto packed = prepack_linear(weight);
    for (const int64_t rows : {1, 3, 32, 500}) {
      const auto x = at::randn({rows, 24}).to(at::kBFloat16);
      const auto expected = at::linear(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble));
      EXPECT_TRUE(at::allclose(prepacked_linear(x, packed, bias).to(at::kDouble), expected, 8e-3, 8e-3)) << rows;
    }
  });
}

// The memory plan counts a copy as large as the weights.
TEST(PrepackedLinear, TakesTheWeightsSizeInItsDtype) {
  with_every_cpu([] {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      if (packed_path(dtype) != ProductPath::kOwn) continue;
      const auto packed = prepack_linear(at::randn({576, 1536}).to(dtype)).panels.panels;
      EXPECT_EQ(packed.nbytes(), 576 * 1536 * at::elementSize(dtype));
    }
  });
}

TEST(PrepackedLinear, LeavesOtherTypesAsTheyAre) {
  const auto weight = at::randn({8, 16}).to(at::kDouble);
  const auto x = at::randn({3, 16}).to(at::kDouble);
  EXPECT_EQ(prepack_linear(weight).weight.const_data_ptr(), weight.const_data_ptr());
  EXPECT_TRUE(at::equal(prepacked_linear(x, prepack_linear(weight), {}), at::linear(x, weight)));
}

}  // namespace
}  // namespace grpo::nn
