#include "grpo/kernels/rowwise.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "grpo/kernels/paged_kv.h"

namespace grpo::kernels {
namespace {

at::Tensor values(std::vector<int64_t> shape, int seed, at::ScalarType dtype = at::kFloat) {
  auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(seed));
  return at::randn(shape, generator, at::TensorOptions(at::kFloat)).to(dtype);
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// Odd sizes: below, at and above the sixteen lanes and the tiles.
const std::vector<int64_t> kWidths = {1, 7, 16, 17, 96, 257};

TEST(RmsNorm, EqualsTheFormula) {
  for (const int64_t n : kWidths) {
    const auto x = values({5, n}, 1), weight = values({n}, 2);
    const auto wide = x.to(at::kDouble);
    const auto expected = wide * (wide.pow(2).mean(-1, true) + 1e-5).rsqrt() * weight.to(at::kDouble);
    EXPECT_LE(difference(rms_norm(x, weight, 1e-5), expected), 2e-6) << n;
    // bf16 has 8 bits: one rounding of values up to about 10.
    EXPECT_LE(difference(rms_norm(x.to(at::kBFloat16), weight.to(at::kBFloat16), 1e-5), expected), 0.1) << n;
  }
}

TEST(SiluMul, EqualsTheFormulaAlsoAtTheEnds) {
  for (const int64_t n : kWidths) {
    const auto gate = values({3, n}, 3) * 30.0, up = values({3, n}, 4);
    const auto g = gate.to(at::kDouble);
    const auto expected = g / (1.0 + (-g).exp()) * up.to(at::kDouble);
    EXPECT_LE(((silu_mul(gate, up).to(at::kDouble) - expected).abs() / (1.0 + expected.abs())).max().item<double>(), 1e-6) << n;
  }
}

TEST(ApplyRope, RotatesHalvesByTheTable) {
  const int64_t d = 10;
  const auto x = values({4, 3, d}, 5);
  const auto angles = values({20, d / 2}, 6);
  const auto positions = at::tensor(std::vector<int64_t>{0, 19, 3, 7}, at::kLong);
  const auto c = angles.cos().index_select(0, positions).unsqueeze(1), s = angles.sin().index_select(0, positions).unsqueeze(1);
  const auto halves = x.chunk(2, -1);
  const auto expected = at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1);
  EXPECT_LE(difference(apply_rope(x, positions, angles.cos(), angles.sin()), expected), 1e-6);
}

TEST(ExactLinear, EqualsTheProduct) {
  for (const int64_t k : kWidths) {
    for (const int64_t rows : {1, 3, 4, 9}) {
      const auto x = values({rows, k}, 7), w = values({11, k}, 8), b = values({11}, 9);
      const auto expected = at::linear(x.to(at::kDouble), w.to(at::kDouble), b.to(at::kDouble));
      EXPECT_LE(difference(exact_linear(x, w, b), expected), 2e-5) << rows << " x " << k;
      EXPECT_LE(difference(exact_linear(x, w, std::nullopt), expected - b.to(at::kDouble)), 2e-5);
    }
  }
}

TEST(ExactLinear, ARowDoesNotDependOnTheOthers) {
  const auto x = values({37, 100}, 10), w = values({30, 100}, 11), b = values({30}, 12);
  const auto all = exact_linear(x, w, b);
  for (int64_t r = 0; r < x.size(0); ++r) {
    EXPECT_TRUE(all[r].equal(exact_linear(x.narrow(0, r, 1), w, b)[0])) << r;
  }
  EXPECT_TRUE(all.narrow(0, 5, 9).equal(exact_linear(x.narrow(0, 5, 9), w, b)));
  for (int64_t n = 1; n < w.size(0); ++n) {
    EXPECT_TRUE(all.narrow(1, 0, n).equal(exact_linear(x, w.narrow(0, 0, n), b.narrow(0, 0, n)))) << n;
  }
}

struct Paged {
  PagedKv cache;
  PagedLayout layout;
};

at::Tensor ints(const std::vector<int32_t>& list) { return at::tensor(list, at::kInt); }

// Two sequences in scattered pages; the second one's prompt is already there.
class PagedAttention : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  static constexpr int64_t kHeads = 6, kKvHeads = 2, kDim = 20, kPage = 8;

  PagedKv cache_ = {at::zeros({12, kPage, kKvHeads, kDim}, GetParam()), at::zeros({12, kPage, kKvHeads, kDim}, GetParam())};
  double scale_ = 0.3;

  static at::Tensor reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale) {
    const auto keys = k.to(at::kDouble).repeat_interleave(kHeads / kKvHeads, 1);
    const auto vals = v.to(at::kDouble).repeat_interleave(kHeads / kKvHeads, 1);
    auto scores = at::einsum("qhd,khd->hqk", {q.to(at::kDouble), keys}) * scale;
    const int64_t extra = k.size(0) - q.size(0);
    const auto visible = at::ones({q.size(0), k.size(0)}, at::kBool).tril(extra);
    scores = scores.masked_fill(visible.logical_not(), -1e30);
    return at::einsum("hqk,khd->qhd", {scores.softmax(-1), vals});
  }
};

TEST_P(PagedAttention, PrefillAndDecodeEqualTheFormulaAndEachOther) {
  const int64_t length = 37;
  const auto q = values({length, kHeads, kDim}, 1, GetParam());
  const auto k = values({length, kKvHeads, kDim}, 2, GetParam());
  const auto v = values({length, kKvHeads, kDim}, 3, GetParam());
  const std::vector<int32_t> pages = {9, 2, 11, 4, 0};
  const auto table = ints(pages).unsqueeze(0);
  const PagedLayout prefill{ints({0, static_cast<int32_t>(length)}), ints({static_cast<int32_t>(length)}), table};
  write_kv(k, v, prefill, cache_);
  const auto whole = paged_attention(q, cache_, prefill, scale_);
  const double tolerance = GetParam() == at::kFloat ? 2e-6 : 2e-2;  // bf16: the result is rounded to 8 bits
  EXPECT_LE(difference(whole, reference(q, k, v, scale_)), tolerance);

  PagedKv fresh = {at::zeros_like(cache_.keys), at::zeros_like(cache_.values)};
  for (int64_t t = 0; t < length; ++t) {
    const PagedLayout one{ints({0, 1}), ints({static_cast<int32_t>(t + 1)}), table};
    write_kv(k.narrow(0, t, 1), v.narrow(0, t, 1), one, fresh);
    EXPECT_TRUE(paged_attention(q.narrow(0, t, 1), fresh, one, scale_)[0].equal(whole[t])) << t;
  }
}

TEST_P(PagedAttention, ASequenceDoesNotSeeItsNeighbours) {
  const auto q = values({5, kHeads, kDim}, 4, GetParam());
  const auto k = values({5, kKvHeads, kDim}, 5, GetParam());
  const auto v = values({5, kKvHeads, kDim}, 6, GetParam());
  const PagedLayout both{ints({0, 2, 5}), ints({2, 3}), ints({3, 7}).view({2, 1})};
  write_kv(k, v, both, cache_);
  const auto together = paged_attention(q, cache_, both, scale_);
  const PagedLayout second{ints({0, 3}), ints({3}), ints({7}).view({1, 1})};
  EXPECT_TRUE(together.narrow(0, 2, 3).equal(paged_attention(q.narrow(0, 2, 3), cache_, second, scale_)));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, PagedAttention, ::testing::Values(at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace grpo::kernels
