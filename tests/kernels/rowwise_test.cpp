#include "grpo/kernels/rowwise.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "kernels/every_cpu.h"

namespace grpo::kernels {
namespace {

using testing::with_every_cpu;
using testing::with_threads;

const int64_t kWidths[] = {1, 3, 8, 16, 24, 47, 96, 577};
const at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16};

// Relative: 2^-8 is half a unit in the last place of bf16 twice over; fp32 leaves a few roundings.
double tolerance(at::ScalarType type) { return type == at::kFloat ? 2e-6 : 0.0079; }

void expect_near(const at::Tensor& found, const at::Tensor& expected, at::ScalarType type) {
  ASSERT_EQ(found.scalar_type(), type);
  ASSERT_EQ(found.sizes(), expected.sizes());
  const auto error = (found.to(at::kDouble) - expected).abs() / (expected.abs() + 0.1);
  EXPECT_LT(error.max().item<double>(), tolerance(type));
}

TEST(RmsNorm, EqualsItsFormulaInDouble) {
  at::manual_seed(1);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      for (const int64_t width : kWidths) {
        const auto x = (at::randn({5, width}) * 3).to(type);
        const auto weight = at::randn({width}).to(type);
        const auto xd = x.to(at::kDouble);
        const auto expected = xd / (xd.square().mean(-1, true) + 1e-5).sqrt() * weight.to(at::kDouble);
        expect_near(rms_norm(x, weight, 1e-5), expected, type);
      }
    }
  });
}

TEST(RmsNorm, NormsTheLastDimensionOfHeads) {
  const auto x = at::randn({4, 3, 16});
  const auto weight = at::randn({16});
  EXPECT_TRUE(at::equal(rms_norm(x, weight, 1e-6), rms_norm(x.view({12, 16}), weight, 1e-6).view({4, 3, 16})));
}

TEST(RmsNorm, GivesARowTheSameBitsInEveryBatchAndThread) {
  at::manual_seed(2);
  const auto x = at::randn({400, 95});
  const auto weight = at::randn({95});
  const auto whole = with_threads(3, [&] { return rms_norm(x, weight, 1e-6); });
  EXPECT_TRUE(at::equal(whole, with_threads(1, [&] { return rms_norm(x, weight, 1e-6); })));
  for (int64_t row = 0; row < 400; row += 57) EXPECT_TRUE(at::equal(rms_norm(x[row], weight, 1e-6), whole[row]));
}

TEST(Rowwise, ReadsColumnsOfAWiderMatrix) {
  at::manual_seed(9);
  for (const auto type : kTypes) {
    const auto wide = at::randn({5, 5 * 24}).to(type);
    const auto gate = wide.narrow(1, 0, 48), up = wide.narrow(1, 48, 48);
    EXPECT_TRUE(at::equal(silu_mul(gate, up), silu_mul(gate.contiguous(), up.contiguous())));
    const auto heads = wide.view({5, 5, 24}).narrow(1, 2, 3);
    const auto positions = at::arange(5, at::kLong);
    const auto cos = at::randn({5, 12}), sin = at::randn({5, 12});
    EXPECT_TRUE(at::equal(apply_rope(heads, positions, cos, sin), apply_rope(heads.contiguous(), positions, cos, sin)));
    const auto every_other = wide.view({5, 60, 2}).select(2, 1).view({5, 5, 12});
    EXPECT_TRUE(at::equal(apply_rope(every_other, positions, cos.narrow(1, 0, 6), sin.narrow(1, 0, 6)),
                          apply_rope(every_other.contiguous(), positions, cos.narrow(1, 0, 6), sin.narrow(1, 0, 6))));
  }
}

TEST(SiluMul, EqualsItsFormulaInDouble) {
  at::manual_seed(3);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      for (const int64_t width : kWidths) {
        const auto gate = (at::randn({4, width}) * 5).to(type);
        const auto up = at::randn({4, width}).to(type);
        expect_near(silu_mul(gate, up), at::silu(gate.to(at::kDouble)) * up.to(at::kDouble), type);
      }
    }
  });
}

TEST(SiluMul, IsFiniteForLargeArguments) {
  with_every_cpu([] {
    const auto gate = at::tensor({-1e4f, -100.0f, -88.0f, 0.0f, 88.0f, 1e4f});
    const auto found = silu_mul(gate, at::ones({6}));
    EXPECT_TRUE(at::allclose(found, at::silu(gate), 1e-6, 1e-30));
  });
}

at::Tensor rotated(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.to(at::kDouble).chunk(2, -1);
  const auto c = cos.to(at::kDouble).unsqueeze(1);
  const auto s = sin.to(at::kDouble).unsqueeze(1);
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1);
}

TEST(ApplyRope, RotatesHalvesByThePositionsRow) {
  at::manual_seed(4);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      for (const int64_t half : {1, 4, 12, 16, 33}) {
        const auto x = at::randn({6, 3, 2 * half}).to(type);
        const auto positions = at::tensor({0, 9, 4, 4, 1, 7}, at::kLong);
        const auto cos = at::randn({10, half});
        const auto sin = at::randn({10, half});
        expect_near(apply_rope(x, positions, cos, sin),
                    rotated(x, cos.index_select(0, positions), sin.index_select(0, positions)), type);
      }
    }
  });
}

TEST(ApplyRope, RefusesAPositionOutsideTheTable) {
  const auto x = at::ones({1, 1, 4});
  EXPECT_THROW(apply_rope(x, at::tensor({3}, at::kLong), at::ones({3, 2}), at::ones({3, 2})), std::logic_error);
}

}  // namespace
}  // namespace grpo::kernels
