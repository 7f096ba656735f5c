#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <ostream>

#include "grpo/base/random.h"
#include "grpo/kernels/upload.h"
#include "kernels/device_test.h"
#include "kernels/paged_cache.h"

// The device kernels of sampling against their CPU twins: as Emulated/... compiled for the CPU (emulation/block.h), as
// Gpu/... on a CUDA device.

namespace grpo::kernels {
namespace {

using testing::DeviceTest;
using testing::emulated;
using testing::expect_near;
using testing::kTypes;
using testing::name_of;
using testing::PagedCache;
using testing::Place;
using testing::random;
using testing::rotations;

class DeviceKernels : public DeviceTest {};

// Around a warp, a pack and a block of 16 warps with the widest packs.
const int64_t kWidths[] = {1, 3, 8, 31, 32, 33, 96, 577, 896, 1536, 4100};

TEST_P(DeviceKernels, RmsNormEqualsItsTwin) {
  for (const auto type : kTypes) {
    for (const int64_t width : kWidths) {
      const auto x = random({5, width}, type, 3), weight = random({width}, type);
      expect_near(run([&] { return table().rms_norm(there(x), there(weight), 1e-5); }), rms_norm(x, weight, 1e-5));
    }
  }
  EXPECT_EQ(run([&] { return table().rms_norm(there(at::empty({0, 8})), there(at::ones({8})), 1e-5); }).numel(), 0);
}

TEST_P(DeviceKernels, AddRmsNormEqualsItsTwin) {
  for (const auto type : kTypes) {
    for (const int64_t width : kWidths) {
      const auto x = random({3, width}, type), y = random({3, width}, type), weight = random({width}, type);
      const auto expected = add_rms_norm(x, y, weight, 1e-6);
      const auto compute = [&] { return table().add_rms_norm(there(x), there(y), there(weight), 1e-6); };
      EXPECT_TRUE(at::equal(run([&] { return compute().first; }), expected.first)) << width;
      expect_near(run([&] { return compute().second; }), expected.second);
    }
  }
}

TEST_P(DeviceKernels, SiluMulEqualsItsTwin) {
  for (const auto type : kTypes) {
    for (const int64_t width : {1, 8, 47, 256, 2100}) {
      const auto wide = random({5, 2 * width}, type, 5);
      const auto gate = wide.narrow(1, 0, width), up = wide.narrow(1, width, width);
      expect_near(run([&] {
                    const auto both = there(wide);
                    return table().silu_mul(both.narrow(1, 0, width), both.narrow(1, width, width));
                  }),
                  silu_mul(gate, up));
    }
  }
}

struct Shape {
  int64_t heads, kv_heads, head_dim, page_size;
};
// With the group sizes of Qwen2.5 (6 and 7), odd head dimensions for the simple attention, and FlashInfer's 64 and 128.
const Shape kShapes[] = {{4, 2, 20, 5}, {12, 2, 64, 16}, {7, 1, 128, 16},
                         {3, 3, 24, 1}, {9, 3, 64, 32},  {2, 1, 160, 16}};

// A prefill of several sequences, and the decode step after it.
struct Passes {
  Passes(const Shape& s, at::ScalarType type, const std::vector<int64_t>& prompts)
      : cache(4, 800, s.page_size, s.kv_heads, s.head_dim, type), shape(s), dtype(type), lengths(prompts) {}

  PagedLayout prefill() const { return cache.layout({0, 1, 2, 3}, lengths, lengths); }
  int64_t prefilled() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }
  PagedLayout decode() const {
    return cache.layout({3, 0, 2, 1}, {1, 1, 1, 1}, {lengths[3] + 1, lengths[0] + 1, lengths[2] + 1, lengths[1] + 1});
  }

  at::Tensor heads_of(int64_t tokens, int64_t heads) const { return random({tokens, heads, shape.head_dim}, dtype); }

  PagedCache cache;
  Shape shape;
  at::ScalarType dtype;
  std::vector<int64_t> lengths;
};

TEST_P(DeviceKernels, WriteKvEqualsItsTwin) {
  for (const auto type : kTypes) {
    for (const Shape& shape : kShapes) {
      Passes passes(shape, type, GetParam().prompts);
      const auto both = passes.heads_of(passes.prefilled(), 2 * shape.kv_heads);
      const auto half = [&](const at::Tensor& x, int64_t which) {
        return x.narrow(1, which * shape.kv_heads, shape.kv_heads);
      };
      const auto found = run([&] {
        auto cache = there(passes.cache.kv);
        const auto x = there(both);
        table().write_kv(half(x, 0), half(x, 1), there(passes.prefill()), cache);
        return at::stack({cache.keys, cache.values});
      });
      write_kv(half(both, 0), half(both, 1), passes.prefill(), passes.cache.kv);
      EXPECT_TRUE(
          at::equal(found.nan_to_num(1e9), at::stack({passes.cache.kv.keys, passes.cache.kv.values}).nan_to_num(1e9)));
    }
  }
}

Qkv projection(const Passes& passes, bool norm) {
  const Shape& s = passes.shape;
  const auto [cos, sin] = rotations(s.head_dim);
  Qkv qkv{.heads = passes.heads_of(4, s.heads + 2 * s.kv_heads),
          .q_norm = {},
          .k_norm = {},
          .positions = at::tensor({17, 1, 64, 33}, at::kLong),
          .cos = cos,
          .sin = sin};
  if (norm) {
    qkv.q_norm = random({s.head_dim}, passes.dtype);
    qkv.k_norm = random({s.head_dim}, passes.dtype);
  }
  return qkv;
}

TEST_P(DeviceKernels, WriteQkvEqualsItsTwin) {
  const auto move = [&](const at::Tensor& x) { return x.defined() ? there(x) : x; };
  for (const auto type : kTypes) {
    for (const Shape& shape : kShapes) {
      for (const bool norm : {false, true}) {
        Passes passes(shape, type, GetParam().prompts);
        passes.cache.kv.keys.zero_();
        passes.cache.kv.values.zero_();
        const auto qkv = projection(passes, norm);
        const Qkv moved{.heads = there(qkv.heads),
                        .q_norm = move(qkv.q_norm),
                        .k_norm = move(qkv.k_norm),
                        .norm_eps = qkv.norm_eps,
                        .positions = there(qkv.positions),
                        .cos = there(qkv.cos),
                        .sin = there(qkv.sin)};
        auto cache = there(passes.cache.kv);
        const auto found = run([&] { return table().write_qkv(moved, there(passes.decode()), cache); });
        expect_near(found, write_qkv(qkv, passes.decode(), passes.cache.kv));
        expect_near(cache.keys.cpu(), passes.cache.kv.keys);
        EXPECT_TRUE(at::equal(cache.values.cpu(), passes.cache.kv.values));
      }
    }
  }
}

// Without a device there is one kernel, whatever is asked for.
std::vector<DecodeKernel> decode_kernels(at::Device device) {
  if (device.is_cpu()) return {DecodeKernel::kAuto};
  return {DecodeKernel::kPlain, DecodeKernel::kTensorCores};
}

TEST_P(DeviceKernels, PagedAttentionEqualsItsTwin) {
  for (const DecodeKernel kernel : decode_kernels(GetParam().device)) {
    for (const auto type : kTypes) {
      for (const Shape& shape : kShapes) {
        Passes passes(shape, type, GetParam().prompts);
        const AttentionShape attention{.heads = shape.heads,
                                       .kv_heads = shape.kv_heads,
                                       .head_dim = shape.head_dim,
                                       .page_size = shape.page_size,
                                       .dtype = type,
                                       .decode_kernel = kernel};
        const auto planner = table().plan_attention(attention, GetParam().device, /*page_capacity=*/0);
        const double scale = 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
        const auto compare = [&](const PagedLayout& layout, int64_t tokens) {
          write_kv(passes.heads_of(tokens, shape.kv_heads), passes.heads_of(tokens, shape.kv_heads), layout,
                   passes.cache.kv);
          const auto queries = passes.heads_of(tokens, shape.heads);
          const auto found = run([&] {
            Upload upload(GetParam().device, /*in_place=*/false);
            return table().paged_attention(there(queries), there(passes.cache.kv), planner->plan(layout, upload),
                                           scale);
          });
          const auto expected = paged_attention(queries, passes.cache.kv, layout, scale);
          const double error = (found.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
          EXPECT_LT(error, type == at::kFloat ? 5e-6 : 0.02)
              << shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim;
        };
        compare(passes.prefill(), passes.prefilled());
        compare(passes.decode(), 4);
      }
    }
  }
}

TEST_P(DeviceKernels, PassesOverTokensPastTheLastSequence) {
  Passes passes(kShapes[0], at::kFloat, GetParam().prompts);
  const auto keys = passes.heads_of(6, 2);
  auto cache = there(passes.cache.kv);
  table().write_kv(there(keys), there(keys), there(passes.decode()), cache);  // four sequences, six tokens
  write_kv(keys.narrow(0, 0, 4), keys.narrow(0, 0, 4), passes.decode(), passes.cache.kv);
  EXPECT_TRUE(at::equal(cache.keys.cpu().nan_to_num(1e9), passes.cache.kv.keys.nan_to_num(1e9)));
}

std::vector<SampleParams> draws(int64_t rows, uint64_t seed) {
  std::vector<SampleParams> params;
  for (int64_t i = 0; i < rows; ++i) {
    const double uniform = base::uniform({seed, base::stream_id("test")}, static_cast<uint64_t>(i), 0, 0);
    params.push_back({.temperature = 0.4 + 0.3 * static_cast<double>(i % 5),
                      .top_k = i % 3 == 1 ? 1 + i * 5 : 0,
                      .top_p = i % 4 == 2 ? 0.3 + 0.02 * static_cast<double>(i % 30) : 1.0,
                      .uniform = uniform});
  }
  params.front().temperature = 0.0;
  return params;
}

SampleRows moved(const SampleRows& rows, at::Device device) {
  return {rows.temperature.to(device), rows.top_k.to(device), rows.top_p.to(device), rows.uniform.to(device)};
}

// Logits of `vocabulary` ids, whose rows lie `stride` apart and start `shift` elements behind an address that packs.
struct Logits {
  int64_t vocabulary, stride, shift;
  double spread;
};
// Whole and broken packs, rows that lie on 16 bytes and rows that do not; flat rows, where most of a warp falls into
// one bucket.
const Logits kLogits[] = {{1, 1, 0, 4},       {2, 2, 0, 4},       {31, 31, 0, 4},        {1500, 1500, 0, 4},
                          {1501, 1512, 0, 4}, {1501, 1512, 3, 4}, {1504, 1504, 0, 0.01}, {8201, 8208, 0, 0.3}};

// The device sums masses as integers and the CPU in floating point. Where a running sum is within 1e-7 of its goal they
// may fall on different sides of it: of 4,000 rows a top-p cut does so about once in ten runs, so three are let pass.
TEST_P(DeviceKernels, SampleTokensEqualsItsTwin) {
  const int64_t rows = GetParam().sampled_rows;
  for (const auto type : kTypes) {  // bf16 logits have many equals
    for (const Logits& shape : kLogits) {
      SCOPED_TRACE(::testing::Message() << type << ", " << shape.vocabulary << " ids, " << shape.stride << " apart");
      const auto whole = random({rows * shape.stride + shape.shift}, type, shape.spread);
      const auto rows_in = [&](const at::Tensor& x) {
        return x.as_strided({rows, shape.vocabulary}, {shape.stride, 1}, shape.shift);
      };
      const auto params = sample_rows(draws(rows, static_cast<uint64_t>(shape.vocabulary)));
      const auto expected = sample_tokens(rows_in(whole), params);
      const auto found = run([&] {
        const auto sampled = table().sample_tokens(rows_in(there(whole)), moved(params, GetParam().device));
        return at::stack({sampled.ids.to(at::kDouble), sampled.log_probs.to(at::kDouble)});
      });
      const auto same = found[0] == expected.ids;
      EXPECT_LE(rows - same.sum().item<int64_t>(), rows / 1300);
      expect_near(found[1].to(at::kFloat).index({same}), expected.log_probs.index({same}));
    }
  }
}

// As with the draws, a row whose running sum is next to its goal may keep one id more on one of the two.
TEST_P(DeviceKernels, KeepSampledEqualsItsTwin) {
  const int64_t rows = GetParam().sampled_rows;
  for (const auto type : kTypes) {
    for (const int64_t vocabulary : {1, 31, 1501, 8208}) {
      const auto logits = random({rows, vocabulary}, type, 2.0);
      const auto targets = at::arange(rows, at::kLong).remainder(vocabulary);
      for (const auto& [top_k, top_p] : {std::pair<int64_t, double>{0, 0.9}, {20, 1.0}, {40, 0.6}}) {
        SCOPED_TRACE(::testing::Message() << type << ", " << vocabulary << " ids, " << top_k << ", " << top_p);
        auto expected = logits.clone();
        const auto shares = keep_sampled_(expected, targets, 0.8, top_k, top_p);
        const auto found = run([&, top_k = top_k, top_p = top_p] {
          auto moved = there(logits).clone();
          const auto log_shares = table().keep_sampled_(moved, there(targets), 0.8, top_k, top_p);
          return at::cat({moved.to(at::kFloat), log_shares.unsqueeze(1)}, 1);
        });
        const auto same = (found.slice(1, 0, vocabulary) == expected.to(at::kFloat)).all(1);
        EXPECT_LE(rows - same.sum().item<int64_t>(), rows / 1300);
        expect_near(found.select(1, vocabulary).index({same}), shares.index({same}));
      }
    }
  }
}

TEST_P(DeviceKernels, SampleTokensMarksRowsWithoutNumbers) {
  auto logits = at::zeros({4, 40});
  logits[1][7] = NAN;
  logits[2].fill_(-INFINITY);
  logits[3][0] = INFINITY;
  const auto params = sample_rows(std::vector<SampleParams>(4, {.uniform = 0.51}));
  const auto compute = [&] { return table().sample_tokens(there(logits), moved(params, GetParam().device)); };
  EXPECT_TRUE(at::equal(run([&] { return compute().ids; }), at::tensor({20, 0, 0, 0}, at::kLong)));
  EXPECT_TRUE(at::equal(run([&] { return compute().log_probs.isnan(); }), at::tensor({0, 1, 1, 1}).to(at::kBool)));
}

TEST_P(DeviceKernels, SampleTokensNeverDrawsMaskedIds) {
  const auto logits = at::full({3, 100}, -INFINITY);
  logits.select(1, 13).fill_(0);
  logits.select(1, 77).fill_(1);
  const auto params =
      sample_rows({{.uniform = 0.9999999}, {.top_k = 5, .uniform = 0.2}, {.top_p = 0.99999, .uniform = 0.0}});
  EXPECT_TRUE(at::equal(run([&] { return table().sample_tokens(there(logits), moved(params, GetParam().device)).ids; }),
                        at::tensor({77, 13, 13}, at::kLong)));
}

INSTANTIATE_TEST_SUITE_P(Emulated, DeviceKernels, ::testing::Values(Place{at::kCPU, emulated, {1, 9, 20, 5}, 12}),
                         name_of);

// A GPU gets sequences of many pages and enough rows for a disagreement of one in a thousand to show. Attention over
// 700 tokens and thousands of draws take minutes on the host device, which gets fewer: still several pages, more rows
// than a tile of FlashInfer's has, and every kind of draw.
Place on_cuda() {
  if (testing::on_host_device()) return {at::kCUDA, cuda::kernels, {1, 33, 50, 20}, 24};
  return {at::kCUDA, cuda::kernels, {1, 33, 700, 64}, 4000};
}
INSTANTIATE_TEST_SUITE_P(Gpu, DeviceKernels, ::testing::Values(on_cuda()), name_of);

}  // namespace
}  // namespace grpo::kernels
