#include "grpo/kernels/paged_kv.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstring>
#include <vector>

#include "grpo/base/error.h"
#include "kernels/cpu/dispatch.h"

namespace grpo::kernels {
namespace {

// Host views of a layout's tensors.
struct Layout {
  explicit Layout(const PagedLayout& layout)
      : sequences(layout.context_lengths.size(0)),
        max_pages(layout.page_table.size(1)),
        offsets(layout.query_offsets.const_data_ptr<int32_t>()),
        lengths(layout.context_lengths.const_data_ptr<int32_t>()),
        pages(layout.page_table.const_data_ptr<int32_t>()) {
    GRPO_CHECK(layout.query_offsets.size(0) == sequences + 1 && layout.page_table.size(0) == sequences, "layout of ", sequences,
               " sequences");
  }
  // The absolute position of new token t of sequence s.
  int64_t position(int64_t s, int64_t t) const { return lengths[s] - (offsets[s + 1] - t); }

  int64_t sequences;
  int64_t max_pages;
  const int32_t* offsets;
  const int32_t* lengths;
  const int32_t* pages;
};

// The sequence of every new token.
std::vector<int64_t> sequence_of_token(const Layout& layout) {
  std::vector<int64_t> owner(static_cast<size_t>(layout.offsets[layout.sequences]));
  for (int64_t s = 0; s < layout.sequences; ++s) {
    for (int64_t t = layout.offsets[s]; t < layout.offsets[s + 1]; ++t) owner[static_cast<size_t>(t)] = s;
  }
  return owner;
}

template <typename T>
void attend(const at::Tensor& queries, const PagedKv& cache, const Layout& layout, double scale, at::Tensor& out,
            void (*attention)(const cpu::AttentionTask<T>&)) {
  const int64_t heads = queries.size(1);
  const int64_t d = queries.size(2);
  const int64_t page_size = cache.keys.size(1);
  const int64_t kv_heads = cache.keys.size(2);
  const int64_t group = heads / kv_heads;
  const auto owner = sequence_of_token(layout);
  const auto* q = static_cast<const T*>(queries.const_data_ptr());
  const auto* keys = static_cast<const T*>(cache.keys.const_data_ptr());
  const auto* values = static_cast<const T*>(cache.values.const_data_ptr());
  auto* result = static_cast<T*>(out.mutable_data_ptr());
  const auto tokens = static_cast<int64_t>(owner.size());
  at::parallel_for(0, tokens * kv_heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(group * (d + 2 + cpu::kAttentionBlock)));
    for (int64_t item = begin; item < end; ++item) {
      const int64_t t = item / kv_heads;
      const int64_t kv = item % kv_heads;
      const int64_t s = owner[static_cast<size_t>(t)];
      attention({.queries = q + (t * heads + kv * group) * d,
                 .out = result + (t * heads + kv * group) * d,
                 .keys = keys + kv * d,
                 .values = values + kv * d,
                 .pages = layout.pages + s * layout.max_pages,
                 .page_stride = page_size * kv_heads * d,
                 .row_stride = kv_heads * d,
                 .page_size = page_size,
                 .length = layout.position(s, t) + 1,
                 .group = group,
                 .head_dim = d,
                 .scale = static_cast<float>(scale),
                 .scratch = scratch.data()});
    }
  });
}

}  // namespace

void write_kv(const at::Tensor& keys, const at::Tensor& values, const PagedLayout& layout, PagedKv& cache) {
  GRPO_CHECK(keys.is_cpu(), "write_kv has no kernel for device ", keys.device().str());
  GRPO_CHECK(keys.scalar_type() == cache.keys.scalar_type(), "keys are ", c10::toString(keys.scalar_type()), ", the cache ",
             c10::toString(cache.keys.scalar_type()));
  const auto k = keys.contiguous();
  const auto v = values.contiguous();
  const Layout host(layout);
  const int64_t page_size = cache.keys.size(1);
  const size_t row_bytes = static_cast<size_t>(keys.size(1) * keys.size(2)) * keys.element_size();
  auto* key_cache = static_cast<char*>(cache.keys.mutable_data_ptr());
  auto* value_cache = static_cast<char*>(cache.values.mutable_data_ptr());
  for (int64_t s = 0; s < host.sequences; ++s) {
    for (int64_t t = host.offsets[s]; t < host.offsets[s + 1]; ++t) {
      const int64_t position = host.position(s, t);
      const int64_t page = host.pages[s * host.max_pages + position / page_size];
      const size_t to = static_cast<size_t>(page * page_size + position % page_size) * row_bytes;
      const size_t from = static_cast<size_t>(t) * row_bytes;
      std::memcpy(key_cache + to, static_cast<const char*>(k.const_data_ptr()) + from, row_bytes);
      std::memcpy(value_cache + to, static_cast<const char*>(v.const_data_ptr()) + from, row_bytes);
    }
  }
}

at::Tensor paged_attention(const at::Tensor& queries, const PagedKv& cache, const PagedLayout& layout, double scale) {
  GRPO_CHECK(queries.is_cpu(), "paged_attention has no kernel for device ", queries.device().str());
  GRPO_CHECK(queries.scalar_type() == cache.keys.scalar_type(), "queries are ", c10::toString(queries.scalar_type()),
             ", the cache ", c10::toString(cache.keys.scalar_type()));
  GRPO_CHECK(queries.size(1) % cache.keys.size(2) == 0, queries.size(1), " heads over ", cache.keys.size(2), " kv heads");
  const auto q = queries.contiguous();
  auto out = at::empty_like(q);
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
