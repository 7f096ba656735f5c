#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "grpo/kernels/rowwise.h"
#include "kernels/every_cpu.h"

namespace grpo::kernels {
namespace {

using testing::with_every_cpu;
using testing::with_threads;

struct Shape {
  int64_t rows, outputs, inputs;
};
// Around the tiles of every instruction set: 4 and 2 rows, 4 outputs, 16, 8 and 4 lanes; blocks of 128 rows.
const Shape kShapes[] = {{1, 1, 1},    {1, 5, 3},     {3, 7, 17},   {4, 16, 16}, {5, 33, 96},
                         {9, 130, 31}, {131, 19, 40}, {7, 3, 9000}, {2, 64, 576}};

TEST(ExactLinear, EqualsTheProductInDouble) {
  at::manual_seed(1);
  with_every_cpu([] {
    for (const auto& [rows, outputs, inputs] : kShapes) {
      const auto x = at::randn({rows, inputs});
      const auto weight = at::randn({outputs, inputs});
      const auto bias = at::randn({outputs});
      const auto expected = at::linear(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble));
      const auto found = exact_linear(x, weight, bias);
      const double error = (found.to(at::kDouble) - expected).abs().max().item<double>();
      EXPECT_LT(error, 1e-6 * static_cast<double>(inputs) + 1e-6) << rows << "x" << outputs << "x" << inputs;
      EXPECT_LT((exact_linear(x, weight, {}).to(at::kDouble) - (expected - bias)).abs().max().item<double>(),
                1e-6 * static_cast<double>(inputs) + 1e-6);
    }
  });
}

TEST(ExactLinear, GivesARowTheSameBitsInEveryBatch) {
  at::manual_seed(2);
  with_every_cpu([] {
    for (const auto& [rows, outputs, inputs] : kShapes) {
      const auto x = at::randn({rows, inputs});
      const auto weight = at::randn({outputs, inputs});
      const auto whole = exact_linear(x, weight, {});
      for (int64_t count : {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{6}}) {
        for (int64_t first = 0; first + count <= rows; first += count) {
          EXPECT_TRUE(at::equal(exact_linear(x.slice(0, first, first + count), weight, {}),
                                whole.slice(0, first, first + count)))
              << "rows " << first << " to " << first + count << " of " << rows << "x" << outputs << "x" << inputs;
        }
      }
    }
  });
}

TEST(ExactLinear, DoesNotDependOnThreads) {
  at::manual_seed(3);
  const auto x = at::randn({37, 300});
  const auto weight = at::randn({517, 300});
  const auto one = with_threads(1, [&] { return exact_linear(x, weight, {}); });
  const auto three = with_threads(3, [&] { return exact_linear(x, weight, {}); });
  EXPECT_TRUE(at::equal(one, three));
}

TEST(ExactLinear, ReadsSlicesOfLargerTensors) {
  at::manual_seed(4);
  const auto wide = at::randn({6, 40});
  const auto weight = at::randn({10, 20});
  const auto slice = wide.slice(1, 0, 20);
  EXPECT_TRUE(at::equal(exact_linear(slice, weight, {}), exact_linear(slice.clone(), weight, {})));
}

TEST(ExactLinear, RefusesOtherTypes) {
  const auto x = at::ones({2, 8}, at::kBFloat16);
  EXPECT_THROW(exact_linear(x, x, {}), std::logic_error);
}

TEST(ExactLinear, TakesNoRows) {
  EXPECT_EQ(exact_linear(at::empty({0, 8}), at::ones({5, 8}), {}).sizes(), (at::IntArrayRef{0, 5}));
}

}  // namespace
}  // namespace grpo::kernels
