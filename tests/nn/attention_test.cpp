#include "grpo/nn/attention.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace grpo::nn {
namespace {

std::vector<int64_t> offsets_of(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> offsets = {0};
  for (const int64_t length : lengths) offsets.push_back(offsets.back() + length);
  return offsets;
}

struct Inputs {
  at::Tensor queries, keys, values;

  Inputs(int64_t tokens, int64_t heads, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype) {
    at::manual_seed(1);
    const auto random = [&](int64_t count) {
      return at::randn({tokens, count, head_dim}).to(dtype).set_requires_grad(true);
    };
    queries = random(heads);
    keys = random(kv_heads);
    values = random(kv_heads);
  }
  Inputs in_fp64() const {
    Inputs copy = *this;
    for (auto* x : {&copy.queries, &copy.keys, &copy.values}) *x = x->detach().to(at::kDouble).set_requires_grad(true);
    return copy;
  }
};

// The definition, one sequence and one head at a time.
at::Tensor plain_attention(const Inputs& in, const std::vector<int64_t>& offsets, double scale) {
  const int64_t group = in.queries.size(1) / in.keys.size(1);
  std::vector<at::Tensor> sequences;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    const auto mask = at::full({length, length}, -std::numeric_limits<double>::infinity(), at::kDouble).triu(1);
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < in.queries.size(1); ++h) {
      const auto part = [&](const at::Tensor& x, int64_t head) {
        return x.narrow(0, offsets[s], length).select(1, head);
      };
      const auto scores = at::mm(part(in.queries, h), part(in.keys, h / group).t()) * scale + mask;
      heads.push_back(at::mm(at::softmax(scores, -1), part(in.values, h / group)));
    }
    sequences.push_back(at::stack(heads, 1));
  }
  return at::cat(sequences);
}

void expect_equal_with_gradients(const std::vector<int64_t>& lengths, int64_t heads, int64_t kv_heads,
                                 at::ScalarType dtype, AttentionKernel kernel, double tolerance) {
  SCOPED_TRACE(to_string(kernel));
  const auto offsets = offsets_of(lengths);
  const Inputs in(offsets.back(), heads, kv_heads, 16, dtype);
  const Inputs wide = in.in_fp64();
  const double scale = 1.0 / std::sqrt(16.0);
  const auto out = packed_attention(in.queries, in.keys, in.values, plan_attention(offsets, at::kCPU, kernel), scale);
  const auto expected = plain_attention(wide, offsets, scale);
  ASSERT_EQ(out.sizes(), expected.sizes());
  EXPECT_EQ(out.scalar_type(), dtype);
  EXPECT_LT((out - expected).abs().max().item<double>(), tolerance);

  const auto seen = at::randn(out.sizes());
  (out * seen.to(dtype)).sum().backward();
  (expected * seen.to(dtype).to(at::kDouble)).sum().backward();
  const auto gradient_error = [](const at::Tensor& a, const at::Tensor& b) {
    return (a.grad() - b.grad()).abs().max().item<double>() / b.grad().abs().max().item<double>();
  };
  EXPECT_LT(gradient_error(in.queries, wide.queries), tolerance);
  EXPECT_LT(gradient_error(in.keys, wide.keys), tolerance);
  EXPECT_LT(gradient_error(in.values, wide.values), tolerance);
}

void expect_equal_with_gradients(const std::vector<int64_t>& lengths, int64_t heads, int64_t kv_heads,
                                 at::ScalarType dtype, double tolerance) {
  for (const auto kernel : {AttentionKernel::kPadded, AttentionKernel::kOwn})
    expect_equal_with_gradients(lengths, heads, kv_heads, dtype, kernel, tolerance);
}

TEST(PackedAttention, EqualsTheDefinitionForOneSequence) { expect_equal_with_gradients({9}, 4, 4, at::kFloat, 1e-5); }

TEST(PackedAttention, EqualsTheDefinitionForEqualLengths) {
  expect_equal_with_gradients({6, 6, 6}, 4, 2, at::kFloat, 1e-5);
}

TEST(PackedAttention, EqualsTheDefinitionForMixedLengths) {
  expect_equal_with_gradients({3, 1, 17, 2, 17, 5}, 6, 2, at::kFloat, 1e-5);
}

TEST(PackedAttention, EqualsTheDefinitionAcrossBuckets) {
  expect_equal_with_gradients({300, 2, 90, 280, 1, 95, 40}, 4, 1, at::kFloat, 1e-5);
}

// bf16 has 8 bits: one rounding is 2^-9 relative, and the sums here meet a few.
TEST(PackedAttention, IsCloseInBf16) { expect_equal_with_gradients({3, 120, 17}, 4, 2, at::kBFloat16, 3e-2); }

TEST(PlanAttention, WastesLittleOnLongSequences) {
  std::mt19937 random(3);
  std::vector<int64_t> lengths;
  for (int i = 0; i < 64; ++i) lengths.push_back(1 + static_cast<int64_t>(random() % 2000));
  const auto offsets = offsets_of(lengths);
  int64_t padded = 0;
  const auto plan = plan_attention(offsets, at::kCPU);
  for (const auto& bucket : plan.buckets) padded += bucket.sequences * bucket.length;
  EXPECT_LT(static_cast<double>(padded), 1.4 * static_cast<double>(offsets.back()));
  EXPECT_LT(plan.buckets.size(), lengths.size());
}

TEST(PlanAttention, KeepsShortSequencesTogether) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 128; ++i) lengths.push_back(8 + i % 24);
  EXPECT_EQ(plan_attention(offsets_of(lengths), at::kCPU).buckets.size(), 1u);
}

// The clock of a trial here, which a candidate moves on: so the machine's load decides nothing.
double trial_time = 0.0;

AttentionCandidate candidate(AttentionKernel kernel, double factor, double seconds) {
  return {kernel, [=](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
            trial_time += seconds;
            return packed_attention(q, k, v, plan_attention(offsets_of({20, 30, 14}), at::kCPU), 0.25) * factor;
          }};
}

TEST(AttentionChoice, IsTheFastestThatIsRight) {
  at::manual_seed(1);
  const auto reference = candidate(AttentionKernel::kPadded, 1.0, 1.0);
  AttentionTrial trial{.heads = {.heads = 4, .kv_heads = 2, .head_dim = 16},
                       .tokens = 64,
                       .dtype = at::kBFloat16,
                       .device = at::kCPU,
                       .tolerance = 0.05,
                       .clock = [] { return trial_time; }};
  const auto choose = [&](const std::vector<AttentionCandidate>& candidates) {
    return best_attention(candidates, reference, trial);
  };
  const auto slow = candidate(AttentionKernel::kPadded, 1.0, 1.1), fast = candidate(AttentionKernel::kFlash, 1.0, 1.0);
  EXPECT_EQ(choose({slow, fast}), AttentionKernel::kFlash);
  EXPECT_EQ(choose({fast, slow}), AttentionKernel::kFlash);
  const auto wrong = candidate(AttentionKernel::kFlash, 1.2, 1.0), nan = candidate(AttentionKernel::kFlash, NAN, 1.0);
  EXPECT_EQ(choose({slow, wrong}), AttentionKernel::kPadded);
  EXPECT_EQ(choose({nan, slow}), AttentionKernel::kPadded);
  const AttentionCandidate nan_gradient{
      AttentionKernel::kFlash, [=](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
        return fast.attend(q, k, v) + 0.0 * (q - q.detach()).sqrt().sum();  // of q alone
      }};
  EXPECT_EQ(choose({nan_gradient, slow}), AttentionKernel::kPadded);
  const AttentionCandidate fails{AttentionKernel::kFlash, [](const auto&, const auto&, const auto&) -> at::Tensor {
                                   throw std::runtime_error("no");
                                 }};
  EXPECT_EQ(choose({fails}), AttentionKernel::kPadded);
  trial.in_order = true;
  EXPECT_EQ(choose({slow, fast}), AttentionKernel::kPadded);
  EXPECT_EQ(choose({wrong, fails, fast}), AttentionKernel::kFlash);
}

TEST(AttentionChoice, IsPaddedOnTheCpu) {
  EXPECT_EQ(choose_attention({.heads = 4, .kv_heads = 2, .head_dim = 64}, at::kBFloat16, at::kCPU, {}),
            AttentionKernel::kOwn);
}

}  // namespace
}  // namespace grpo::nn
