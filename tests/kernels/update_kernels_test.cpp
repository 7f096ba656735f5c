#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "kernels/device_test.h"

// The device kernels of training against their CPU twins: as Emulated/... compiled for the CPU (emulation/block.h), as
// Gpu/... on a CUDA device.

namespace grpo::kernels {
namespace {

using testing::DeviceTest;
using testing::emulated;
using testing::expect_near;
using testing::kTypes;
using testing::name_of;
using testing::Place;
using testing::random;
using testing::rotations;

class UpdateKernels : public DeviceTest {};

// The same numbers in memory that begins `offset` elements later: packs of 16 bytes do not fit there.
at::Tensor misaligned(const at::Tensor& x, int64_t offset) {
  auto memory = at::zeros({x.numel() + offset}, x.options());
  auto place = memory.narrow(0, offset, x.numel()).view(x.sizes());
  place.copy_(x);
  return place;
}

// One element, one pack, one warp, a block of one pack a thread and of two, and more than a block holds in registers.
// The weight's gradient is a sum over rows of terms up to 30, in blocks of other sizes.
TEST_P(UpdateKernels, RmsNormBackwardEqualsItsTwin) {
  for (const auto type : kTypes) {
    for (const int64_t width : {1, 3, 33, 96, 577, 1025, 2056, 4104, 8200}) {
      for (const int64_t rows : {1, 18}) {
        if (width > 1000 && rows == 1) continue;
        const auto grad = random({rows, width}, type), x = random({rows, width}, type, 2),
                   weight = random({width}, type);
        const auto expected = rms_norm_backward(grad, x, weight, 1e-5);
        const auto found = run([&] {
          const auto [dx, dweight] = table().rms_norm_backward(there(grad), there(x), there(weight), 1e-5);
          return at::cat({dx, dweight.unsqueeze(0)});
        });
        expect_near(found.narrow(0, 0, rows), expected.first);
        expect_near(found[rows], expected.second, 3e-5);
      }
    }
  }
}

TEST_P(UpdateKernels, RmsNormBackwardTakesRowsThatAreNotAligned) {
  for (const auto type : kTypes) {
    const auto grad = random({18, 64}, type), x = random({18, 64}, type, 2), weight = random({64}, type);
    const auto expected = rms_norm_backward(grad, x, weight, 1e-5);
    expect_near(
        run([&] { return table().rms_norm_backward(there(grad), misaligned(there(x), 1), there(weight), 1e-5).first; }),
        expected.first);
  }
}

TEST_P(UpdateKernels, SiluMulBackwardEqualsItsTwinAlsoInPlace) {
  for (const auto type : kTypes) {
    for (const int64_t width : {1, 8, 97, 256, 2100}) {
      for (const int64_t offset : {0, 1}) {
        for (const bool in_place : {false, true}) {
          const auto grad = random({3, width}, type), gate_up = random({3, 2 * width}, type, 4);
          auto expected_grad = grad.clone(), expected = at::empty_like(gate_up);
          silu_mul_backward_(expected_grad, gate_up, expected);
          const auto compute = [&] {
            auto through = misaligned(there(grad), offset);
            const auto in = misaligned(there(gate_up), offset);
            auto out = in_place ? in : at::empty_like(in);
            table().silu_mul_backward_(through, in, out);
            return std::pair(through, out);
          };
          expect_near(run([&] { return compute().first; }), expected_grad);
          expect_near(run([&] { return compute().second; }), expected);
        }
      }
    }
  }
}

// Heads as columns of a wider matrix, into columns of another, and in place.
TEST_P(UpdateKernels, RopeEqualsItsTwin) {
  const auto positions = at::tensor({0, 99, 3, 98, 50}, at::kLong);
  for (const auto type : kTypes) {
    for (const int64_t head_dim : {2, 20, 64, 128}) {
      const auto wide = random({5, 7, head_dim}, type);
      const auto [cos, sin] = rotations(head_dim);
      const auto expected = apply_rope(wide.narrow(1, 2, 3), positions, cos, sin);
      for (const bool in_place : {false, true}) {
        expect_near(run([&, cos = cos, sin = sin] {
                      const auto in = there(wide).clone(), other = at::zeros({5, 4, head_dim}, in.options());
                      auto out = in_place ? in.narrow(1, 2, 3) : other.narrow(1, 1, 3);
                      table().rope_into(in.narrow(1, 2, 3), there(positions), there(cos), there(sin), out);
                      return out.contiguous();
                    }),
                    expected);
      }
    }
  }
}

struct Logits {
  at::Tensor logits, targets, g, h;

  Logits(int64_t rows, int64_t vocabulary, at::ScalarType type)
      : logits(random({rows, vocabulary}, type, 6)),
        targets(at::randint(vocabulary, {rows}, at::kLong)),
        g(at::randn({rows})),
        h(at::randn({rows})) {}
};

const int64_t kVocabularies[] = {1, 2, 31, 264, 1501, 9000};

TEST_P(UpdateKernels, HeadRowsEqualTheirTwins) {
  for (const auto type : kTypes) {
    for (const int64_t vocabulary : kVocabularies) {
      for (const double temperature : {1.0, 0.6}) {
        const Logits in(5, vocabulary, type);
        const auto expected = head_rows(in.logits, in.targets, temperature);
        const auto compute = [&](at::Tensor HeadRows::*field) {
          return run([&] { return table().head_rows(there(in.logits), there(in.targets), temperature).*field; });
        };
        for (const auto field : {&HeadRows::log_probs, &HeadRows::entropy, &HeadRows::max, &HeadRows::log_sum})
          expect_near(compute(field), expected.*field);
      }
    }
  }
}

TEST_P(UpdateKernels, HeadGradientEqualsItsTwin) {
  for (const auto type : kTypes) {
    for (const int64_t vocabulary : kVocabularies) {
      for (const bool entropy : {false, true}) {
        const Logits in(3, vocabulary, type);
        const auto rows = head_rows(in.logits, in.targets, 0.8);
        auto expected = in.logits.clone();
        head_gradient_(expected, in.targets, rows, 0.8, in.g, entropy ? in.h : at::Tensor());
        expect_near(
            run([&] {
              auto out = there(in.logits).clone();
              const HeadRows moved{there(rows.log_probs), there(rows.entropy), there(rows.max), there(rows.log_sum)};
              table().head_gradient_(out, there(in.targets), moved, 0.8, there(in.g),
                                     entropy ? there(in.h) : at::Tensor());
              return out;
            }),
            expected);
      }
    }
  }
}

// Ids that are masked have no probability; a row of NaN stays one.
TEST_P(UpdateKernels, HeadTakesLogitsThatAreNotFinite) {
  auto logits = random({3, 600}, at::kFloat, 3);
  logits[0].slice(0, 3, 590).fill_(-INFINITY);
  logits[1][7] = NAN;
  const auto targets = at::tensor({1, 2, 3}, at::kLong);
  const auto log_probs = run([&] { return table().head_rows(there(logits), there(targets), 1.0).log_probs; });
  EXPECT_NEAR(log_probs[0].item<double>(), at::log_softmax(logits[0], 0)[1].item<double>(), 1e-5);
  EXPECT_TRUE(std::isnan(log_probs[1].item<double>()));
  const auto gradient = run([&] {
    auto out = there(logits).clone();
    table().head_gradient_(out, there(targets), table().head_rows(out, there(targets), 1.0), 1.0, there(at::ones({3})),
                           there(at::ones({3})));
    return out;
  });
  EXPECT_EQ(gradient[0].slice(0, 3, 590).abs().max().item<double>(), 0.0);
  EXPECT_TRUE(at::isfinite(gradient[0]).all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Emulated, UpdateKernels, ::testing::Values(Place{at::kCPU, emulated, {}, 0}), name_of);
INSTANTIATE_TEST_SUITE_P(Gpu, UpdateKernels, ::testing::Values(Place{at::kCUDA, cuda::kernels, {}, 0}), name_of);

}  // namespace
}  // namespace grpo::kernels
