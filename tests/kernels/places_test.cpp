// Results that the CPU writes to a place equal those in new memory, bit for bit.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>

#include "grpo/kernels/paged_kv.h"
#include "grpo/kernels/product.h"
#include "grpo/kernels/rowwise.h"
#include "kernels/every_cpu.h"
#include "kernels/paged_cache.h"

namespace grpo::kernels {
namespace {

using testing::PagedCache;
using testing::with_every_cpu;
using testing::with_threads;

const at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16};

// `write` is given a place of that shape, full of something else.
void expect_written(const at::Tensor& expected, const std::function<at::Tensor(const at::Tensor& place)>& write) {
  const auto place = at::full(expected.sizes(), 123.0, expected.options());
  EXPECT_TRUE(write(place).is_same(place));
  EXPECT_TRUE(at::equal(place, expected));
}

TEST(Places, HoldRowwiseResults) {
  at::manual_seed(1);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      for (const int64_t n : {1, 7, 16, 47, 577}) {
        const auto x = at::randn({5, n}).to(type), y = at::randn({5, n}).to(type), weight = at::randn({n}).to(type);
        expect_written(rms_norm(x, weight, 1e-6), [&](const auto& p) { return rms_norm_into(p, x, weight, 1e-6); });
        expect_written(silu_mul(x, y), [&](const auto& p) { return silu_mul_into(p, x, y); });
        const auto [sum, normed] = add_rms_norm(x, y, weight, 1e-6);
        const auto stream = x.clone();
        expect_written(normed, [&](const auto& p) { return add_rms_norm_into(p, stream, y, weight, 1e-6).second; });
        EXPECT_TRUE(at::equal(stream, sum));
        const auto ids = at::randint(5, {9}, at::kLong);
        expect_written(x.index_select(0, ids), [&](const auto& p) {
          take_rows(x, ids, p);
          return p;
        });
      }
    }
  });
}

TEST(Places, HoldProducts) {
  at::manual_seed(2);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      for (const int64_t m : {1, 3, 40}) {
        const auto a = at::randn({m, 150}).to(type), bias = at::randn({65}).to(type);
        const auto packed = pack_matrix(at::randn({150, 65}).to(type));
        expect_written(product(a, packed, bias), [&](const auto& p) {
          product_into(p, a, packed, bias);
          return p;
        });
      }
    }
  });
}

// The heads of sequences with a prompt and of some that add one token, with norms and without: as their parts give
// them.
TEST(Places, HoldQueriesAndTheirAttention) {
  at::manual_seed(3);
  constexpr int64_t kHeads = 6, kKvHeads = 2, kDim = 24, kPage = 4;
  const std::vector<int64_t> which = {0, 1, 2}, added = {1, 9, 1}, lengths = {6, 9, 3};
  with_every_cpu([&] {
    for (const auto type : kTypes) {
      for (const bool norms : {false, true}) {
        PagedCache written(3, 12, kPage, kKvHeads, kDim, type);
        written.kv.keys.fill_(0.5);
        written.kv.values.fill_(0.25);
        PagedKv expected{written.kv.keys.clone(), written.kv.values.clone()};
        Qkv qkv{.heads = at::randn({11, kHeads + 2 * kKvHeads, kDim}).to(type),
                .q_norm = norms ? at::randn({kDim}).to(type) : at::Tensor(),
                .k_norm = norms ? at::randn({kDim}).to(type) : at::Tensor(),
                .positions = at::arange(11, at::kLong),
                .cos = at::randn({16, kDim / 2}),
                .sin = at::randn({16, kDim / 2})};
        const auto part = [&](int64_t begin, int64_t count, const at::Tensor& norm) {
          const auto heads = qkv.heads.narrow(1, begin, count);
          return apply_rope(norms ? rms_norm(heads, norm, qkv.norm_eps) : heads, qkv.positions, qkv.cos, qkv.sin);
        };
        const auto queries = part(0, kHeads, qkv.q_norm);
        write_kv(part(kHeads, kKvHeads, qkv.k_norm), qkv.heads.narrow(1, kHeads + kKvHeads, kKvHeads),
                 written.layout(which, added, lengths), expected);
        const auto layout = written.layout(which, added, lengths);
        for (const int threads : {1, 3}) {
          with_threads(threads, [&] {
            expect_written(queries, [&](const auto& p) { return write_qkv_into(p, qkv, layout, written.kv); });
            return 0;
          });
          EXPECT_TRUE(at::equal(written.kv.keys, expected.keys));
          EXPECT_TRUE(at::equal(written.kv.values, expected.values));
        }
        expect_written(paged_attention(queries, written.kv, layout, 0.2),
                       [&](const auto& p) { return paged_attention_into(p, queries, written.kv, layout, 0.2); });
      }
    }
  });
}

TEST(Places, OfAnotherShapeAreRefused) {
  const auto x = at::randn({5, 8}), weight = at::randn({8});
  EXPECT_THROW(rms_norm_into(at::empty({4, 8}), x, weight, 1e-6), std::logic_error);
  EXPECT_THROW(silu_mul_into(at::empty({5, 8}, at::kBFloat16), x, x), std::logic_error);
  EXPECT_THROW(take_rows(x, at::full({1}, 5, at::kLong), at::empty({1, 8})), std::logic_error);
}

}  // namespace
}  // namespace grpo::kernels
