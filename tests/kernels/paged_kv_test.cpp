#include "grpo/kernels/paged_kv.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/every_cpu.h"
#include "kernels/paged_cache.h"

namespace grpo::kernels {
namespace {

using testing::PagedCache;
using testing::with_every_cpu;
using testing::with_threads;

struct Case {
  int64_t heads, kv_heads, head_dim, page_size;
};
const Case kCases[] = {{4, 2, 16, 16},  {3, 3, 24, 4}, {6, 2, 8, 5},  {9, 3, 64, 16},
                       {8, 1, 128, 32}, {2, 1, 20, 1}, {32, 1, 32, 8}};

// Lengths around the blocks of 32 keys and the tiles of a prefill.
const std::vector<int64_t> kLengths = {1, 2, 31, 32, 33, 40, 64, 65, 97};

struct Sequence {
  at::Tensor q, k, v;  // [T, heads, head_dim], [T, kv_heads, head_dim] twice
};

std::vector<Sequence> random_sequences(const Case& c, at::ScalarType type) {
  std::vector<Sequence> sequences;
  for (const int64_t length : kLengths) {
    sequences.push_back({.q = at::randn({length, c.heads, c.head_dim}).to(type),
                         .k = at::randn({length, c.kv_heads, c.head_dim}).to(type),
                         .v = at::randn({length, c.kv_heads, c.head_dim}).to(type)});
  }
  return sequences;
}

double scale_of(const Case& c) { return 1.0 / std::sqrt(static_cast<double>(c.head_dim)); }

// softmax(q k^T scale) v over the tokens not after the query, in double.
at::Tensor attention_in_double(const Sequence& s, const Case& c) {
  const auto repeat = [&](const at::Tensor& x) {
    return x.to(at::kDouble).repeat_interleave(c.heads / c.kv_heads, 1).transpose(0, 1);
  };
  const int64_t t = s.q.size(0);
  auto scores = at::matmul(s.q.to(at::kDouble).transpose(0, 1), repeat(s.k).transpose(1, 2)) * scale_of(c);
  scores.masked_fill_(at::ones({t, t}, at::kBool).triu(1), -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(scores, -1), repeat(s.v)).transpose(0, 1);
}

// One pass that adds tokens [from[i], to[i]) of sequence `which[i]`; their attention, [tokens, heads, head_dim].
at::Tensor pass(const std::vector<Sequence>& all, PagedCache& cache, const Case& c, const std::vector<int64_t>& which,
                const std::vector<int64_t>& from, const std::vector<int64_t>& to) {
  std::vector<at::Tensor> q, k, v;
  std::vector<int64_t> added;
  for (size_t i = 0; i < which.size(); ++i) {
    const Sequence& s = all[static_cast<size_t>(which[i])];
    q.push_back(s.q.slice(0, from[i], to[i]));
    k.push_back(s.k.slice(0, from[i], to[i]));
    v.push_back(s.v.slice(0, from[i], to[i]));
    added.push_back(to[i] - from[i]);
  }
  const auto layout = cache.layout(which, added, to);
  write_kv(at::cat(k), at::cat(v), layout, cache.kv);
  return paged_attention(at::cat(q), cache.kv, layout, scale_of(c));
}

// All sequences prefilled in one pass, one result each.
std::vector<at::Tensor> prefill_all(const std::vector<Sequence>& all, const Case& c, int64_t page_size,
                                    at::ScalarType type) {
  PagedCache cache(static_cast<int64_t>(all.size()), 100, page_size, c.kv_heads, c.head_dim, type);
  std::vector<int64_t> which, from;
  for (size_t i = 0; i < all.size(); ++i) {
    which.push_back(static_cast<int64_t>(i));
    from.push_back(0);
  }
  return pass(all, cache, c, which, from, kLengths).split_with_sizes(kLengths);
}

TEST(PagedAttention, EqualsAttentionInDouble) {
  at::manual_seed(1);
  with_every_cpu([] {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const Case& c : kCases) {
        const auto all = random_sequences(c, type);
        const auto found = prefill_all(all, c, c.page_size, type);
        for (size_t i = 0; i < all.size(); ++i) {
          ASSERT_EQ(found[i].scalar_type(), type);
          const double error = (found[i].to(at::kDouble) - attention_in_double(all[i], c)).abs().max().item<double>();
          // bf16: the result is rounded to 8 bits; values reach 4.
          EXPECT_LT(error, type == at::kFloat ? 5e-6 : 0.016)
              << "length " << kLengths[i] << ", head_dim " << c.head_dim;
        }
      }
    }
  });
}

TEST(PagedAttention, DecodesTheSameBitsAsItPrefills) {
  at::manual_seed(2);
  with_every_cpu([] {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const Case& c : kCases) {
        const auto all = random_sequences(c, type);
        const auto prefilled = prefill_all(all, c, c.page_size, type);
        PagedCache cache(static_cast<int64_t>(all.size()), 100, c.page_size, c.kv_heads, c.head_dim, type);
        for (int64_t t = 0; t < kLengths.back(); ++t) {
          std::vector<int64_t> which, from, to;
          for (int64_t s = static_cast<int64_t>(all.size()) - 1; s >= 0; --s) {  // in another order than the prefill
            if (t >= kLengths[static_cast<size_t>(s)]) continue;
            which.push_back(s);
            from.push_back(t);
            to.push_back(t + 1);
          }
          // On one thread the kv heads of many sequences are computed together.
          const auto decoded = with_threads(t % 2 == 0 ? 1 : 3, [&] { return pass(all, cache, c, which, from, to); });
          for (size_t i = 0; i < which.size(); ++i) {
            ASSERT_TRUE(at::equal(decoded[static_cast<int64_t>(i)], prefilled[static_cast<size_t>(which[i])][t]))
                << "token " << t << " of sequence " << which[i] << ", heads " << c.heads;
          }
        }
      }
    }
  });
}

TEST(PagedAttention, PrefillsInPiecesWithTheSameBits) {
  at::manual_seed(3);
  const Case c = kCases[3];
  const auto all = random_sequences(c, at::kFloat);
  const auto whole = prefill_all(all, c, c.page_size, at::kFloat);
  const auto last = static_cast<int64_t>(all.size()) - 1;
  for (const int64_t piece : {3, 30, 50}) {
    PagedCache cache(last + 1, 100, c.page_size, c.kv_heads, c.head_dim, at::kFloat);
    for (int64_t t = 0; t < kLengths.back(); t += piece) {
      const int64_t end = std::min(kLengths.back(), t + piece);
      EXPECT_TRUE(at::equal(pass(all, cache, c, {last}, {t}, {end}), whole.back().slice(0, t, end)))
          << piece << " tokens at " << t;
    }
  }
}

TEST(PagedAttention, DoesNotDependOnPageSizeOrThreads) {
  at::manual_seed(4);
  const Case c = kCases[0];
  const auto all = random_sequences(c, at::kFloat);
  const auto expected = at::cat(with_threads(1, [&] { return prefill_all(all, c, 16, at::kFloat); }));
  for (const int64_t page_size : {1, 3, 32, 100}) {
    EXPECT_TRUE(
        at::equal(at::cat(with_threads(3, [&] { return prefill_all(all, c, page_size, at::kFloat); })), expected))
        << page_size;
  }
}

TEST(PagedAttention, IsFiniteForLargeScores) {
  with_every_cpu([] {
    const Case c{1, 1, 16, 16};
    const std::vector<Sequence> one = {
        {at::full({40, 1, 16}, 100.0f), at::randn({40, 1, 16}) * 100, at::randn({40, 1, 16})}};
    PagedCache cache(1, 40, 16, 1, 16, at::kFloat);
    const auto found = pass(one, cache, c, {0}, {0}, {40});
    EXPECT_TRUE(at::isfinite(found).all().item<bool>());
  });
}

TEST(WriteKv, WritesEachTokenToItsPageAndNothingElse) {
  PagedCache cache(2, 10, 4, 1, 2, at::kFloat);
  const auto keys = at::arange(10, at::kFloat).view({5, 1, 2});
  // Sequence 0 grows from 3 to 6 tokens, sequence 1 from 7 to 9.
  write_kv(keys, keys + 100, cache.layout({0, 1}, {3, 2}, {6, 9}), cache.kv);
  const auto row = [&](const at::Tensor& memory, int64_t sequence, int64_t position) {
    return memory[cache.page_table[sequence][position / 4].item<int64_t>()][position % 4];
  };
  for (int64_t i = 0; i < 5; ++i) {
    const int64_t sequence = i < 3 ? 0 : 1;
    const int64_t position = i < 3 ? 3 + i : 7 + (i - 3);
    EXPECT_TRUE(at::equal(row(cache.kv.keys, sequence, position), keys[i]));
    EXPECT_TRUE(at::equal(row(cache.kv.values, sequence, position), keys[i] + 100));
  }
  EXPECT_EQ(at::isnan(cache.kv.keys).sum().item<int64_t>(), cache.kv.keys.numel() - keys.numel());
}

}  // namespace
}  // namespace grpo::kernels
