#include "grpo/kernels/paged_kv.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/kernels/upload.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cuda/kernel_table.h"
#include "kernels/dense_rows.h"
#include "kernels/page_lists.h"
#include "kernels/parallel.h"

namespace grpo::kernels {
namespace {

// The contents of a layout's tensors, which are on the host.
struct Layout {
  explicit Layout(const PagedLayout& layout)
      : sequences(layout.context_lengths.size(0)),
        offsets(layout.query_offsets.const_data_ptr<int32_t>()),
        lengths(layout.context_lengths.const_data_ptr<int32_t>()),
        page_offsets(layout.page_offsets.const_data_ptr<int32_t>()),
        page_ids(layout.page_ids.const_data_ptr<int32_t>()) {
    GRPO_CHECK(layout.query_offsets.size(0) == sequences + 1 && layout.page_offsets.size(0) == sequences + 1 &&
                   layout.page_ids.size(0) >= page_offsets[sequences],
               "layout of ", sequences, " sequences");
  }
  const int32_t* pages(int64_t s) const { return page_ids + page_offsets[s]; }
  // The absolute position of the new token t of sequence s.
  int64_t position(int64_t s, int64_t t) const { return lengths[s] - (offsets[s + 1] - t); }

  int64_t sequences;
  const int32_t* offsets;
  const int32_t* lengths;
  const int32_t* page_offsets;
  const int32_t* page_ids;
};

// A piece of work: consecutive new tokens of one sequence, for consecutive kv heads.
struct Tile {
  int64_t sequence;
  int64_t first;  // its first token, counted over the whole pass
  int64_t count;
  int64_t kv_head;
  int64_t kv_heads;
};

// The query heads that are computed together: those of several tokens, so that each block of keys is read only once for
// all of them, or those of several kv heads, whose numbers lie side by side in memory.
constexpr int64_t kTileHeads = 24;

// kv heads of a tile of one sequence's tokens. Where sequences are few they are divided among the threads.
int64_t kv_heads_together(const Layout& layout, int64_t query_heads, int64_t kv_heads) {
  if (layout.sequences < 4 * at::get_num_threads()) return 1;
  return std::clamp<int64_t>(kTileHeads / query_heads, 1, kv_heads);
}

// The tiles of each sequence with the longest contexts come first, so that no thread begins one of them at the end.
void make_tiles(const Layout& layout, int64_t group, int64_t kv_heads, std::vector<Tile>& tiles) {
  const int64_t tokens = std::max<int64_t>(1, kTileHeads / group);
  tiles.clear();
  for (int64_t s = 0; s < layout.sequences; ++s) {
    for (int64_t t = layout.offsets[s]; t < layout.offsets[s + 1]; t += tokens) {
      const int64_t count = std::min<int64_t>(tokens, layout.offsets[s + 1] - t);
      const int64_t together = kv_heads_together(layout, count * group, kv_heads);
      for (int64_t kv = 0; kv < kv_heads; kv += together)
        tiles.push_back({s, t, count, kv, std::min(together, kv_heads - kv)});
    }
  }
  std::reverse(tiles.begin(), tiles.end());
}

int64_t multiply_adds(const std::vector<Tile>& tiles, const Layout& layout, int64_t width) {
  int64_t pairs = 0;
  for (const Tile& tile : tiles) pairs += tile.count * tile.kv_heads * (layout.position(tile.sequence, tile.first) + 1);
  return 2 * pairs * width;
}

template <typename T>
void attend(const at::Tensor& queries, const PagedKv& cache, const Layout& layout, double scale, at::Tensor& out,
            void (*attention)(const cpu::AttentionTask<T>&)) {
  // Memory that stays from layer to layer.
  static thread_local std::vector<Tile> kept_tiles;
  static thread_local std::vector<float> scratch;
  const int64_t heads = queries.size(1);
  const int64_t d = queries.size(2);
  const int64_t page_size = cache.keys.size(1);
  const int64_t kv_heads = cache.keys.size(2);
  const int64_t group = heads / kv_heads;
  make_tiles(layout, group, kv_heads, kept_tiles);
  const auto& tiles = kept_tiles;  // of this thread, whichever thread reads them
  const auto* q = static_cast<const T*>(queries.const_data_ptr());
  const auto* keys = static_cast<const T*>(cache.keys.const_data_ptr());
  const auto* values = static_cast<const T*>(cache.values.const_data_ptr());
  auto* result = static_cast<T*>(out.mutable_data_ptr());
  share_items(static_cast<int64_t>(tiles.size()), multiply_adds(tiles, layout, group * d), [&](const auto& next) {
    scratch.resize(static_cast<size_t>(cpu::attention_scratch(std::max(kTileHeads, group), 1, d)));
    for (int64_t item = next(); item >= 0; item = next()) {
      const Tile& tile = tiles[static_cast<size_t>(item)];
      const int64_t at = (tile.first * heads + tile.kv_head * group) * d;
      attention({.queries = q + at,
                 .out = result + at,
                 .token_stride = heads * d,
                 .tokens = tile.count,
                 .kv_heads = tile.kv_heads,
                 .group = group,
                 .head_dim = d,
                 .first_length = layout.position(tile.sequence, tile.first) + 1,
                 .keys = keys + tile.kv_head * d,
                 .values = values + tile.kv_head * d,
                 .pages = layout.pages(tile.sequence),
                 .page_stride = page_size * kv_heads * d,
                 .row_stride = kv_heads * d,
                 .page_size = page_size,
                 .scale = static_cast<float>(scale),
                 .scratch = scratch.data()});
    }
  });
}

void norm_head(const float* x, const float* weight, float* y, int64_t n, float eps) {
  cpu::functions().rms_norm_f32(x, weight, y, n, eps);
}
void norm_head(const cpu::BFloat16* x, const cpu::BFloat16* weight, cpu::BFloat16* y, int64_t n, float eps) {
  cpu::functions().rms_norm_bf16(x, weight, y, n, eps);
}
void rotate_head(const float* x, const float* cos, const float* sin, float* y, int64_t half) {
  cpu::functions().rope_f32(x, cos, sin, y, half);
}
void rotate_head(const cpu::BFloat16* x, const float* cos, const float* sin, cpu::BFloat16* y, int64_t half) {
  cpu::functions().rope_bf16(x, cos, sin, y, half);
}

constexpr int64_t kHeadsGrain = 16384;  // a thread takes tokens with at least so many numbers

// Norms and rotates query and key heads and puts every head in its place.
template <typename T>
void split_heads(const Qkv& qkv, const Layout& layout, PagedKv& cache, const at::Tensor& queries) {
  const auto in = with_dense_rows(qkv.heads);
  const auto places = qkv.positions.contiguous();
  const int64_t d = in.size(2), page_size = cache.keys.size(1), kv_heads = cache.keys.size(2);
  const int64_t heads = in.size(1) - 2 * kv_heads, tokens = layout.offsets[layout.sequences];
  GRPO_CHECK(in.size(0) == tokens && places.numel() == tokens, "write_qkv: ", in.sizes(), " for ", tokens, " tokens");
  // Puts `count` heads of a token; the norm goes through the place itself, where rotating may begin.
  const auto put = [&](const T* from, int64_t count, const at::Tensor& norm, int64_t token, T* to) {
    const int64_t position = const_data<int64_t>(places)[token];
    GRPO_CHECK(position >= 0 && position < qkv.cos.size(0), "position ", position, " of ", qkv.cos.size(0));
    const float* cos = const_data<float>(qkv.cos) + position * (d / 2);
    const float* sin = const_data<float>(qkv.sin) + position * (d / 2);
    for (int64_t h = 0; h < count; ++h, from += d, to += d) {
      if (norm.defined()) norm_head(from, const_data<T>(norm), to, d, static_cast<float>(qkv.norm_eps));
      rotate_head(norm.defined() ? to : from, cos, sin, to, d / 2);
    }
  };
  for_ranges(tokens, std::max<int64_t>(1, kHeadsGrain / (in.size(1) * d)), [&](int64_t begin, int64_t end) {
    const auto* after = std::upper_bound(layout.offsets, layout.offsets + layout.sequences + 1, begin);
    int64_t s = after - layout.offsets - 1;
    for (int64_t t = begin; t < end; ++t) {
      while (t >= layout.offsets[s + 1]) ++s;
      const int64_t position = layout.position(s, t);
      const int64_t row = layout.pages(s)[position / page_size] * page_size + position % page_size;
      const T* from = const_data<T>(in) + t * in.stride(0);
      put(from, heads, qkv.q_norm, t, mutable_data<T>(queries) + t * heads * d);
      put(from + heads * d, kv_heads, qkv.k_norm, t, mutable_data<T>(cache.keys) + row * kv_heads * d);
      std::memcpy(mutable_data<T>(cache.values) + row * kv_heads * d, from + (heads + kv_heads) * d,
                  static_cast<size_t>(kv_heads * d) * sizeof(T));
    }
  });
}

// Passes layouts on as they are, because the CPU kernels need no schedule.
class HostPlanner : public AttentionPlanner {
 public:
  explicit HostPlanner(int64_t page_capacity) : page_capacity_(page_capacity) {}

  PagedLayout plan(const PagedLayout& host, Upload& upload) override {
    return send_layout(host, upload, page_capacity_);
  }

 private:
  const int64_t page_capacity_;
};

}  // namespace

std::unique_ptr<AttentionPlanner> plan_attention(const AttentionShape& shape, at::Device device,
                                                 int64_t page_capacity) {
  if (device.is_cuda()) return cuda::kernels().plan_attention(shape, device, page_capacity);
  return std::make_unique<HostPlanner>(page_capacity);
}

void write_kv(const at::Tensor& keys, const at::Tensor& values, const PagedLayout& layout, PagedKv& cache) {
  if (keys.is_cuda()) return cuda::kernels().write_kv(keys, values, layout, cache);
  GRPO_CHECK(keys.is_cpu(), "write_kv has no kernel for device ", keys.device().str());
  GRPO_CHECK(keys.scalar_type() == cache.keys.scalar_type(), "keys are ", c10::toString(keys.scalar_type()),
             ", the cache ", c10::toString(cache.keys.scalar_type()));
  const auto k = with_dense_rows(keys);
  const auto v = with_dense_rows(values);
  const Layout host(layout);
  const int64_t page_size = cache.keys.size(1);
  const size_t row_bytes = static_cast<size_t>(keys.size(1) * keys.size(2)) * keys.element_size();
  const auto row = [](const at::Tensor& x, int64_t t) {
    return static_cast<const char*>(x.const_data_ptr()) + static_cast<size_t>(t * x.stride(0)) * x.element_size();
  };
  auto* key_cache = static_cast<char*>(cache.keys.mutable_data_ptr());
  auto* value_cache = static_cast<char*>(cache.values.mutable_data_ptr());
  for (int64_t s = 0; s < host.sequences; ++s) {
    for (int64_t t = host.offsets[s]; t < host.offsets[s + 1]; ++t) {
      const int64_t position = host.position(s, t);
      const int64_t page = host.pages(s)[position / page_size];
      const size_t to = static_cast<size_t>(page * page_size + position % page_size) * row_bytes;
      std::memcpy(key_cache + to, row(k, t), row_bytes);
      std::memcpy(value_cache + to, row(v, t), row_bytes);
    }
  }
}

at::Tensor write_qkv(const Qkv& qkv, const PagedLayout& layout, PagedKv& cache) {
  return write_qkv_into({}, qkv, layout, cache);
}

at::Tensor write_qkv_into(const at::Tensor& place, const Qkv& qkv, const PagedLayout& layout, PagedKv& cache) {
  if (qkv.heads.is_cuda()) return cuda::kernels().write_qkv(qkv, layout, cache);
  GRPO_CHECK(qkv.heads.is_cpu(), "write_qkv has no kernel for device ", qkv.heads.device().str());
  GRPO_CHECK(qkv.heads.scalar_type() == cache.keys.scalar_type() && qkv.heads.size(2) == cache.keys.size(3),
             "heads are ", qkv.heads.sizes(), " ", qkv.heads.scalar_type(), ", the cache ", cache.keys.sizes(), " ",
             cache.keys.scalar_type());
  const int64_t heads = qkv.heads.size(1) - 2 * cache.keys.size(2);
  auto queries =
      place.defined() ? place : at::empty({qkv.heads.size(0), heads, qkv.heads.size(2)}, qkv.heads.options());
  GRPO_CHECK(queries.is_contiguous() && queries.size(0) == qkv.heads.size(0) && queries.size(1) == heads,
             "write_qkv: a place of ", queries.sizes(), " for ", qkv.heads.sizes());
  if (queries.scalar_type() == at::kFloat) {
    split_heads<float>(qkv, Layout(layout), cache, queries);
  } else {
    GRPO_CHECK(queries.scalar_type() == at::kBFloat16, "write_qkv of ", c10::toString(queries.scalar_type()));
    split_heads<cpu::BFloat16>(qkv, Layout(layout), cache, queries);
  }
  return queries;
}

at::Tensor paged_attention(const at::Tensor& queries, const PagedKv& cache, const PagedLayout& layout, double scale) {
  return paged_attention_into({}, queries, cache, layout, scale);
}

at::Tensor paged_attention_into(const at::Tensor& place, const at::Tensor& queries, const PagedKv& cache,
                                const PagedLayout& layout, double scale) {
  GRPO_CHECK(queries.scalar_type() == cache.keys.scalar_type(), "queries are ", c10::toString(queries.scalar_type()),
             ", the cache ", c10::toString(cache.keys.scalar_type()));
  GRPO_CHECK(queries.size(1) % cache.keys.size(2) == 0, queries.size(1), " heads over ", cache.keys.size(2),
             " kv heads");
  if (queries.is_cuda()) return cuda::kernels().paged_attention(queries, cache, layout, scale);
  GRPO_CHECK(queries.is_cpu(), "paged_attention has no kernel for device ", queries.device().str());
  const auto q = queries.contiguous();
  auto out = place.defined() ? place : at::empty_like(q);
  GRPO_CHECK(out.sizes() == q.sizes() && out.is_contiguous() && out.scalar_type() == q.scalar_type(),
             "paged_attention: a place of ", out.sizes(), " for ", q.sizes());
  const Layout host(layout);
  if (q.scalar_type() == at::kFloat) {
    attend<float>(q, cache, host, scale, out, cpu::functions().attention_f32);
  } else {
    GRPO_CHECK(q.scalar_type() == at::kBFloat16, "paged_attention of ", c10::toString(q.scalar_type()));
    attend<cpu::BFloat16>(q, cache, host, scale, out, cpu::functions().attention_bf16);
  }
  return out;
}

}  // namespace grpo::kernels
