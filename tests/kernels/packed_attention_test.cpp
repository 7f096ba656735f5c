#include "grpo/kernels/packed_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "kernels/every_cpu.h"

namespace grpo::kernels {
namespace {

struct Shape {
  int64_t heads, kv_heads, head_dim;
};

// Each family's lengths: of the first segment, then of those that continue it.
using Lengths = std::vector<std::vector<int64_t>>;

std::vector<PackedFamily> families_of(const Lengths& lengths) {
  std::vector<PackedFamily> families;
  int64_t row = 0;
  for (const auto& segments : lengths) {
    PackedFamily family{{row}};
    for (const int64_t length : segments) family.offsets.push_back(row += length);
    families.push_back(family);
  }
  return families;
}

struct Inputs {
  Inputs(const Lengths& lengths, const Shape& shape, at::ScalarType dtype) : families(families_of(lengths)) {
    const int64_t tokens = families.back().offsets.back();
    const auto random = [&](int64_t heads) { return at::randn({tokens, heads, shape.head_dim}).to(dtype); };
    queries = random(shape.heads);
    keys = random(shape.kv_heads);
    values = random(shape.kv_heads);
    grad = random(shape.heads);
  }
  PackedAttention attend() const { return packed_attention(queries, keys, values, families, scale()); }
  PackedAttentionGradients attend_backward(const PackedAttention& result) const {
    return packed_attention_backward(grad, queries, keys, values, result, families, scale());
  }
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(queries.size(2))); }

  std::vector<PackedFamily> families;
  at::Tensor queries, keys, values, grad;
};

// Everything that attention returns: out, log-sum-exps, gradients of queries, keys and values.
using Results = std::array<at::Tensor, 5>;

Results results_of(const Inputs& in) {
  const auto result = in.attend();
  const auto all = in.attend_backward(result);
  return {result.out, result.log_sums, all.queries, all.keys, all.values};
}

// The definition in fp64, one segment after the other, with autograd's gradients.
Results definition(const Inputs& in) {
  const auto leaf = [](const at::Tensor& x) { return x.to(at::kDouble).set_requires_grad(true); };
  const auto queries = leaf(in.queries), keys = leaf(in.keys), values = leaf(in.values);
  const int64_t repeat = queries.size(1) / keys.size(1);
  std::vector<at::Tensor> outs, sums;
  for (const auto& family : in.families) {
    for (size_t s = 0; s + 1 < family.offsets.size(); ++s) {
      const int64_t begin = family.offsets[s], end = family.offsets[s + 1], first = family.offsets[0];
      const int64_t prompt = s > 0 ? family.offsets[1] - first : 0;
      auto rows = at::arange(begin, end);
      if (s > 0) rows = at::cat({at::arange(first, family.offsets[1]), rows});
      const auto seen = [&](const at::Tensor& x) {
        return x.index_select(0, rows).repeat_interleave(repeat, 1).transpose(0, 1);
      };
      const auto hidden =
          at::full({end - begin, rows.size(0)}, -std::numeric_limits<double>::infinity(), at::kDouble).triu(prompt + 1);
      const auto scores =
          at::matmul(queries.slice(0, begin, end).transpose(0, 1), seen(keys).transpose(1, 2)) * in.scale() + hidden;
      outs.push_back(at::matmul(at::softmax(scores, -1), seen(values)).transpose(0, 1));
      sums.push_back(at::logsumexp(scores, at::IntArrayRef{-1}).t());
    }
  }
  const auto out = at::cat(outs);
  out.backward(in.grad.to(at::kDouble));
  return {out.detach(), at::cat(sums).detach(), queries.grad(), keys.grad(), values.grad()};
}

constexpr std::array kNames = {"out", "log_sums", "queries", "keys", "values"};

void expect_is_definition(const Lengths& lengths, const Shape& shape, at::ScalarType dtype, double tolerance) {
  at::manual_seed(7);
  const Inputs in(lengths, shape, dtype);
  const auto expected = definition(in);
  testing::with_every_cpu([&] {
    const auto found = results_of(in);
    for (size_t i = 0; i < found.size(); ++i) {
      SCOPED_TRACE(kNames[i]);
      ASSERT_EQ(found[i].sizes(), expected[i].sizes());
      const double error = (found[i].to(at::kDouble) - expected[i]).abs().max().item<double>();
      EXPECT_LT(error, tolerance * std::max(1.0, expected[i].abs().max().item<double>()));
    }
  });
}

const std::vector<Lengths> kLengths = {{{1}},
                                       {{9}, {64}, {65}, {63}, {1}},  // whole texts around the size of a block
                                       {{300}},
                                       {{20}, {260, 250, 90, 250}},  // by query heads
                                       {{5, 3, 3, 3}, {1, 1, 1}},    // prompts and what continues them
                                       {{64, 64, 1}, {130, 70, 2, 200}, {17}}};

// The longest sums are of 64 heads times 750 rows.
TEST(PackedAttention, IsTheDefinitionForEveryProcessor) {
  for (const auto& lengths : kLengths) {
    for (const Shape shape : {Shape{4, 4, 16}, {6, 2, 24}, {9, 3, 64}, {7, 1, 20}, {64, 1, 8}, {2, 1, 128}, {5, 1, 3}})
      expect_is_definition(lengths, shape, at::kFloat, 1e-5);
  }
}

// Operands and results have 8 bits; in between everything is fp32.
TEST(PackedAttention, RoundsBf16OnlyAtItsEnds) {
  for (const auto& lengths : kLengths) {
    for (const Shape shape : {Shape{6, 2, 24}, {9, 3, 64}, {7, 1, 20}})
      expect_is_definition(lengths, shape, at::kBFloat16, 6e-3);
  }
}

TEST(PackedAttention, ReadsColumnsOfAWiderMatrix) {
  at::manual_seed(8);
  Inputs in({{70}, {20, 9, 9}}, {6, 2, 24}, at::kFloat);
  const auto expected = results_of(in);
  const auto wide = at::cat({in.queries, in.keys, in.values}, 1);
  in.queries = wide.slice(1, 0, 6);
  in.keys = wide.slice(1, 6, 8);
  in.values = wide.slice(1, 8, 10);
  const auto found = results_of(in);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << kNames[i];
}

TEST(PackedAttention, DependsOnItsFamilyAlone) {
  at::manual_seed(9);
  const Inputs all({{90}, {40, 30, 7, 55}, {3}}, {6, 2, 64}, at::kBFloat16);
  testing::with_every_cpu([&] {
    const auto whole = testing::with_threads(1, [&] { return results_of(all); });
    const auto shared = testing::with_threads(3, [&] { return results_of(all); });
    for (size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(at::equal(whole[i], shared[i])) << kNames[i];
    Inputs one = all;
    for (auto* x : {&one.queries, &one.keys, &one.values, &one.grad}) *x = x->slice(0, 90, 222).contiguous();
    one.families = families_of({{40, 30, 7, 55}});
    const auto alone = results_of(one);
    for (size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(at::equal(alone[i], whole[i].slice(0, 90, 222))) << kNames[i];
  });
}

// Two parts of a sum whose scores lie far apart: a weight of exp(-200) must become 0, not a NaN.
TEST(PackedAttention, ForgetsAPartThatWeighsNothing) {
  for (const float sign : {1.0f, -1.0f}) {
    Inputs in({{2, 2, 2}}, {1, 1, 16}, at::kFloat);
    in.queries.fill_(8.0f);
    in.keys.fill_(-sign * 8.0f);
    in.keys.slice(0, 0, 2).fill_(sign * 8.0f);
    const auto found = results_of(in);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(found[i].isfinite().all().item<bool>()) << kNames[i];
    const auto expected = sign > 0.0f ? in.values.slice(0, 0, 2).mean(0) : in.values[2];
    EXPECT_LT((found[0][2] - expected).abs().max().item<double>(), 1e-6);
  }
}

TEST(PackedAttention, RefusesWhatDoesNotFit) {
  Inputs in({{4}, {5}}, {4, 2, 8}, at::kFloat);
  const auto fails = [](const Inputs& wrong) { EXPECT_THROW(wrong.attend(), std::exception); };
  Inputs wrong = in;
  wrong.families = families_of({{4}});
  fails(wrong);
  wrong.families = families_of({{4}, {6}});
  fails(wrong);
  wrong = in;
  wrong.keys = in.keys.to(at::kBFloat16);
  fails(wrong);
  wrong = in;
  wrong.keys = wrong.values = at::randn({9, 3, 8});
  fails(wrong);
}

}  // namespace
}  // namespace grpo::kernels
