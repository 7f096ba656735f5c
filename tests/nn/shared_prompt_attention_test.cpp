#include "nn/shared_prompt_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace grpo::nn {
namespace {

// The lengths of a prompt (0: there is none) and of what continues it.
struct Lengths {
  int64_t prompt;
  std::vector<int64_t> completions;
};

PackedBatch pack(const std::vector<Lengths>& lengths) {
  std::vector<Family> families;
  for (const auto& [prompt, completions] : lengths) {
    Family family{.prompt = std::vector<int64_t>(static_cast<size_t>(prompt), 1), .completions = {}};
    for (const int64_t length : completions) family.completions.emplace_back(static_cast<size_t>(length), 2);
    families.push_back(std::move(family));
  }
  return PackedBatch::pack_families(families);
}

// The packed rows of each text, and how many of its last rows are its own.
struct Text {
  at::Tensor rows;
  int64_t own;
};

std::vector<Text> texts_of(const PackedBatch& batch) {
  const auto rows_of = [&](size_t s) { return at::arange(batch.offsets[s], batch.offsets[s + 1]); };
  std::vector<Text> texts;
  size_t next_shared = 0;
  for (size_t s = 0; s + 1 < batch.offsets.size();) {
    texts.push_back({rows_of(s), rows_of(s).size(0)});
    if (next_shared == batch.shared.size() || batch.shared[next_shared].prompt != s) {
      ++s;
      continue;
    }
    const auto [prompt, end] = batch.shared[next_shared++];
    for (s = prompt + 1; s < end; ++s) texts.push_back({at::cat({rows_of(prompt), rows_of(s)}), rows_of(s).size(0)});
  }
  return texts;
}

// The definition: each text alone and whole, with its prompt's rows, whose gradients autograd adds up.
at::Tensor whole_texts(const std::array<at::Tensor, 3>& in, const PackedBatch& batch, double scale) {
  const int64_t repeat = in[0].size(1) / in[1].size(1);
  std::vector<at::Tensor> own;
  for (const auto& [rows, last] : texts_of(batch)) {
    const auto heads = [&, &chosen = rows](const at::Tensor& x, int64_t times) {
      return x.index_select(0, chosen).repeat_interleave(times, 1).transpose(0, 1);
    };
    const auto mask =
        at::full({rows.size(0), rows.size(0)}, -std::numeric_limits<double>::infinity(), at::kDouble).triu(1);
    const auto scores = at::matmul(heads(in[0], 1), heads(in[1], repeat).transpose(1, 2)) * scale + mask;
    const auto out = at::matmul(at::softmax(scores, -1), heads(in[2], repeat)).transpose(0, 1);
    own.push_back(out.slice(0, rows.size(0) - last));
  }
  return at::cat(own);
}

double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  return (found - expected).abs().max().item<double>() / expected.abs().max().item<double>();
}

void expect_equals_whole_texts(const std::vector<Lengths>& lengths, int64_t heads, int64_t key_heads,
                               at::ScalarType dtype, double tolerance,
                               AttentionKernel kernel = AttentionKernel::kPadded) {
  at::manual_seed(3);
  const auto batch = pack(lengths);
  const int64_t tokens = batch.num_tokens();
  std::array<at::Tensor, 3> in, wide;
  for (size_t i = 0; i < 3; ++i) {
    in[i] = at::randn({tokens, i == 0 ? heads : key_heads, 16}).to(dtype).set_requires_grad(true);
    wide[i] = in[i].detach().to(at::kDouble).set_requires_grad(true);
  }
  const auto plan = plan_attention(batch.offsets, at::kCPU, kernel, batch.shared);
  const auto out = packed_attention(in[0], in[1], in[2], plan, 0.25);
  const auto expected = whole_texts(wide, batch, 0.25);
  EXPECT_EQ(out.scalar_type(), dtype);
  ASSERT_EQ(out.sizes(), expected.sizes());
  EXPECT_LT(relative_error(out, expected), tolerance);

  const auto seen = at::randn(out.sizes()).to(dtype);
  out.backward(seen);
  expected.backward(seen.to(at::kDouble));
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(relative_error(in[i].grad(), wide[i].grad()), tolerance) << i;
}

const std::vector<std::vector<Lengths>> kBatches = {
    {{5, {3, 3, 3}}},
    {{1, {1, 1}}},                                          // the shortest there are
    {{7, {4}}},                                             // a family of one
    {{4, {0, 6, 0}}},                                       // completions of one token, which nothing is read of
    {{9, {2, 30, 1}}, {0, {11, 4}}, {3, {5, 5}}},           // families beside whole texts
    {{0, {6, 6}}, {6, {6, 6}}},                             // all segments of one length
    {{300, {2, 90, 280, 1}}, {70, {95, 40, 95}}, {0, {8}}}  // several buckets
};

TEST(SharedPromptAttention, EqualsThatOfWholeTextsInFp64) {
  for (const auto& lengths : kBatches) {
    expect_equals_whole_texts(lengths, 4, 4, at::kDouble, 1e-13);
    expect_equals_whole_texts(lengths, 6, 2, at::kDouble, 1e-13);
  }
}

TEST(SharedPromptAttention, EqualsThatOfWholeTextsInFp32) {
  for (const auto& lengths : kBatches) expect_equals_whole_texts(lengths, 6, 2, at::kFloat, 1e-5);
}

TEST(SharedPromptAttention, EqualsThatOfWholeTextsWithOurOwnKernel) {
  for (const auto& lengths : kBatches) {
    expect_equals_whole_texts(lengths, 6, 2, at::kFloat, 1e-5, AttentionKernel::kOwn);
    expect_equals_whole_texts(lengths, 6, 2, at::kBFloat16, 1e-2, AttentionKernel::kOwn);
  }
}

// bf16 has 8 bits, and each part is rounded to it before they are merged.
TEST(SharedPromptAttention, IsCloseInBf16) {
  for (const auto& lengths : kBatches) expect_equals_whole_texts(lengths, 6, 2, at::kBFloat16, 3e-2);
}

// The parts of a sum whose scores lie far apart. A weight of exp(-100) must not become a NaN.
TEST(SharedPromptAttention, ForgetsAPartThatWeighsNothing) {
  const auto batch = pack({{2, {2, 2}}});
  const auto plan = plan_attention(batch.offsets, at::kCPU, AttentionKernel::kPadded, batch.shared);
  for (const double sign : {1.0, -1.0}) {
    auto q = at::full({6, 1, 16}, 4.0).set_requires_grad(true), k = at::randn({6, 1, 16}).fill_(-sign * 4.0);
    k.slice(0, 0, 2).fill_(sign * 4.0);
    const auto v = at::randn({6, 1, 16});
    const auto out = packed_attention(q, k, v, plan, 1.0);
    out.sum().backward();
    EXPECT_TRUE(out.isfinite().all().item<bool>());
    EXPECT_TRUE(q.grad().isfinite().all().item<bool>());
    const auto of_prompt = v.slice(0, 0, 2).mean(0), of_own = v.slice(0, 2, 3)[0];
    EXPECT_LT(relative_error(out[2], sign > 0.0 ? of_prompt : of_own), 1e-6);
  }
}

// What devices do whose padded attention returns no log-sum-exp.
TEST(PlainAttention, IsAPartOfAWholeForwardAndBackward) {
  at::manual_seed(5);
  const auto random = [](int64_t rows) { return at::randn({2, 3, rows, 8}, at::kDouble).set_requires_grad(true); };
  const auto q = random(6), k = random(10), v = random(10), grad = random(6).detach();
  const auto scores = at::matmul(q, k.transpose(-1, -2)) * 0.3;
  const auto mask = at::full({6, 6}, -std::numeric_limits<double>::infinity(), at::kDouble).triu(1);
  const auto masked = at::cat({scores.slice(-1, 0, 4), scores.slice(-1, 4) + mask}, -1);
  const auto expected = at::matmul(at::softmax(masked, -1), v);
  expected.backward(grad);

  const at::NoGradGuard no_grad;
  const auto first = plain_attention(q, k.slice(2, 0, 4), v.slice(2, 0, 4), false, 0.3);
  const auto second = plain_attention(q, k.slice(2, 4), v.slice(2, 4), true, 0.3);
  const auto log_sums = at::logaddexp(first.log_sums, second.log_sums);
  const auto weight = [&](const Attended& part) { return (part.log_sums - log_sums).exp().unsqueeze(-1); };
  const Attended whole{first.out * weight(first) + second.out * weight(second), log_sums};
  EXPECT_LT(relative_error(whole.out, expected), 1e-13);
  const auto a = plain_attention_backward(grad, q, k.slice(2, 0, 4), v.slice(2, 0, 4), whole, false, 0.3);
  const auto b = plain_attention_backward(grad, q, k.slice(2, 4), v.slice(2, 4), whole, true, 0.3);
  EXPECT_LT(relative_error(a.queries + b.queries, q.grad()), 1e-13);
  EXPECT_LT(relative_error(at::cat({a.keys, b.keys}, 2), k.grad()), 1e-13);
  EXPECT_LT(relative_error(at::cat({a.values, b.values}, 2), v.grad()), 1e-13);
}

}  // namespace
}  // namespace grpo::nn
