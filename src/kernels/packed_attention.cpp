#include "grpo/kernels/packed_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grpo/base/error.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/dense_rows.h"
#include "kernels/parallel.h"

namespace grpo::kernels {
namespace {

struct Operands {
  Operands(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v)
      : queries(with_dense_rows(q)), keys(with_dense_rows(k)), values(with_dense_rows(v)) {
    const auto agrees = [&](const at::Tensor& x) {
      return x.is_cpu() && x.dim() == 3 && x.size(0) == q.size(0) && x.size(2) == q.size(2) &&
             x.scalar_type() == q.scalar_type();
    };
    GRPO_CHECK(agrees(q) && agrees(k) && agrees(v) && k.size(1) == v.size(1) && q.size(1) % k.size(1) == 0,
               "packed attention of ", q.sizes(), ", ", k.sizes(), " and ", v.sizes());
    GRPO_CHECK(q.scalar_type() == at::kFloat || q.scalar_type() == at::kBFloat16, "packed attention of ",
               c10::toString(q.scalar_type()));
  }
  int64_t kv_heads() const { return keys.size(1); }
  int64_t group() const { return queries.size(1) / keys.size(1); }
  int64_t head_dim() const { return queries.size(2); }

  at::Tensor queries, keys, values;
};

// Query heads of one kv head of one family.
struct Item {
  const std::vector<int64_t>* offsets;  // from 0
  int64_t row;                          // of the family's first token
  int64_t kv_head;
  int64_t first, heads;  // those of the kv head's query heads
  int64_t pairs;         // of a query head and a key that it sees
};

// From so many pairs of a query and a key on each query head is an item of its own, so that a batch of few long texts
// is work for more threads than it has kv heads. This depends on the family alone, since it decides in which order the
// gradients of keys and values are summed.
constexpr int64_t kPairsOfAHead = 1 << 17;

struct Family {
  std::vector<int64_t> offsets;  // from 0
  int64_t row;
  int64_t pairs;

  int64_t rows() const { return offsets.back(); }
  bool by_head(int64_t group) const { return group > 1 && pairs >= kPairsOfAHead; }
};

int64_t pairs_of(const std::vector<int64_t>& offsets) {
  int64_t pairs = 0;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    pairs += length * (length + 1) / 2 + (s > 0 ? length * offsets[1] : 0);
  }
  return pairs;
}

std::vector<Family> from_zero(const std::vector<PackedFamily>& families, int64_t rows) {
  std::vector<Family> all;
  int64_t covered = 0;
  for (const auto& [offsets] : families) {
    GRPO_CHECK(offsets.size() > 1 && offsets.front() == covered && std::is_sorted(offsets.begin(), offsets.end()),
               "packed attention: a family that does not begin behind ", covered, " rows");
    Family family{.offsets = offsets, .row = covered, .pairs = 0};
    for (int64_t& offset : family.offsets) offset -= covered;
    family.pairs = pairs_of(family.offsets);
    covered = offsets.back();
    all.push_back(std::move(family));
  }
  GRPO_CHECK(covered == rows, "packed attention: families of ", covered, " rows of ", rows);
  return all;
}

// The longest first, so that no thread begins one of them at the end.
std::vector<Item> items_of(const std::vector<Family>& families, int64_t kv_heads, int64_t group) {
  std::vector<Item> items;
  for (const auto& family : families) {
    const int64_t heads = family.by_head(group) ? 1 : group;
    for (int64_t kv = 0; kv < kv_heads; ++kv) {
      for (int64_t first = 0; first < group; first += heads)
        items.push_back({&family.offsets, family.row, kv, first, heads, family.pairs * heads});
    }
  }
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.pairs > b.pairs; });
  return items;
}

template <typename T>
cpu::PackedAttentionTask<T> task_of(const Operands& in, const PackedAttention& result, const Item& item, double scale) {
  const auto part = [&](const at::Tensor& x, int64_t head) {
    return const_data<T>(x) + item.row * x.stride(0) + head * in.head_dim();
  };
  const int64_t head = item.kv_head * in.group() + item.first;
  return {.offsets = item.offsets->data(),
          .segments = static_cast<int64_t>(item.offsets->size()) - 1,
          .group = item.heads,
          .head_dim = in.head_dim(),
          .scale = static_cast<float>(scale),
          .queries = part(in.queries, head),
          .keys = part(in.keys, item.kv_head),
          .values = part(in.values, item.kv_head),
          .query_stride = in.queries.stride(0),
          .key_stride = in.keys.stride(0),
          .value_stride = in.values.stride(0),
          .out = mutable_data<T>(result.out) + item.row * result.out.stride(0) + head * in.head_dim(),
          .log_sums = mutable_data<float>(result.log_sums) + item.row * in.queries.size(1) + head,
          .out_stride = result.out.stride(0),
          .sum_stride = in.queries.size(1),
          .grad = nullptr,
          .query_grad = nullptr,
          .key_grad = nullptr,
          .value_grad = nullptr,
          .query_grad_stride = 0,
          .key_grad_stride = 0,
          .key_sums = nullptr,
          .value_sums = nullptr,
          .scratch = nullptr};
}

// Calls work(item, scratch) for every item. products: of a gradient 5, else 2.
template <typename Work>
void share(const std::vector<Item>& items, const Operands& in, int64_t products, const Work& work) {
  static thread_local std::vector<float> kept;  // from layer to layer
  constexpr int64_t kAlignment = 16;            // of the scratch memory, in floats
  int64_t pairs = 0;
  for (const Item& item : items) pairs += item.pairs;
  share_items(static_cast<int64_t>(items.size()), products * pairs * in.head_dim(), [&](const auto& next) {
    for (int64_t i = next(); i >= 0; i = next()) {
      const Item& item = items[static_cast<size_t>(i)];
      const int64_t slots =
          cpu::packed_attention_slots(item.offsets->data(), static_cast<int64_t>(item.offsets->size()) - 1);
      const auto size = static_cast<size_t>(
          cpu::packed_attention_scratch(slots, item.heads, in.head_dim(), products > 2) + kAlignment);
      if (kept.size() < size) kept.resize(size);
      const auto address = reinterpret_cast<uintptr_t>(kept.data());
      work(item, kept.data() + (kAlignment - address / sizeof(float) % kAlignment));
    }
  });
}

template <typename T>
void forward(const Operands& in, const PackedAttention& result, const std::vector<Item>& items, double scale,
             void (*attend)(const cpu::PackedAttentionTask<T>&)) {
  share(items, in, 2, [&](const Item& item, float* scratch) {
    auto task = task_of<T>(in, result, item, scale);
    task.scratch = scratch;
    attend(task);
  });
}

// Where each query head of a family has gradients of keys and values of its own: [2, group, rows of the family,
// kv_heads, head_dim] fp32. Undefined for the other families.
at::Tensor sums_by_head(const Family& family, const Operands& in) {
  if (!family.by_head(in.group())) return {};
  return at::empty({2, in.group(), family.rows(), in.kv_heads(), in.head_dim()}, at::kFloat);
}

template <typename T>
void backward(const at::Tensor& grad, const Operands& in, const PackedAttention& result,
              const PackedAttentionGradients& all, const std::vector<Family>& families, double scale,
              void (*attend_backward)(const cpu::PackedAttentionTask<T>&)) {
  std::unordered_map<int64_t, at::Tensor> by_head;  // by the family's first row
  for (const auto& family : families) by_head[family.row] = sums_by_head(family, in);
  const auto items = items_of(families, in.kv_heads(), in.group());
  share(items, in, 5, [&](const Item& item, float* scratch) {
    auto task = task_of<T>(in, result, item, scale);
    const auto part = [&](const at::Tensor& x, int64_t head) { return item.row * x.stride(0) + head * in.head_dim(); };
    const int64_t head = item.kv_head * in.group() + item.first;
    task.grad = const_data<T>(grad) + part(grad, head);
    task.query_grad = mutable_data<T>(all.queries) + part(all.queries, head);
    task.key_grad = mutable_data<T>(all.keys) + part(all.keys, item.kv_head);
    task.value_grad = mutable_data<T>(all.values) + part(all.values, item.kv_head);
    task.query_grad_stride = all.queries.stride(0);
    task.key_grad_stride = all.keys.stride(0);
    if (const auto& sums = by_head.at(item.row); sums.defined()) {
      task.key_sums = mutable_data<float>(sums) + item.first * sums.stride(1) + item.kv_head * in.head_dim();
      task.value_sums = task.key_sums + sums.stride(0);
    }
    task.scratch = scratch;
    attend_backward(task);
  });
  for (const auto& family : families) {
    const auto& sums = by_head.at(family.row);
    if (!sums.defined()) continue;
    const auto rows = [&](const at::Tensor& x) { return x.slice(0, family.row, family.row + family.rows()); };
    rows(all.keys).copy_(sums[0].sum(0));
    rows(all.values).copy_(sums[1].sum(0));
  }
}

}  // namespace

PackedAttention packed_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                                 const std::vector<PackedFamily>& families, double scale) {
  const Operands in(queries, keys, values);
  const PackedAttention result{at::empty(queries.sizes(), queries.options()),
                               at::empty(queries.sizes().slice(0, 2), queries.options().dtype(at::kFloat))};
  const auto texts = from_zero(families, queries.size(0));
  const auto items = items_of(texts, in.kv_heads(), in.group());
  const auto& functions = cpu::functions();
  if (queries.scalar_type() == at::kFloat) {
    forward<float>(in, result, items, scale, functions.packed_attention_f32);
  } else {
    forward<cpu::BFloat16>(in, result, items, scale, functions.packed_attention_bf16);
  }
  return result;
}

PackedAttentionGradients packed_attention_backward(const at::Tensor& grad, const at::Tensor& queries,
                                                   const at::Tensor& keys, const at::Tensor& values,
                                                   const PackedAttention& result,
                                                   const std::vector<PackedFamily>& families, double scale) {
  const Operands in(queries, keys, values);
  GRPO_CHECK(grad.sizes() == queries.sizes() && grad.scalar_type() == queries.scalar_type(), "packed attention of ",
             queries.sizes(), " with a gradient ", grad.sizes());
  const auto empty = [](const at::Tensor& x) { return at::empty(x.sizes(), x.options()); };
  const PackedAttentionGradients all{empty(queries), empty(keys), empty(values)};
  const auto texts = from_zero(families, queries.size(0));
  const auto dense = grad.contiguous();
  const auto& functions = cpu::functions();
  if (queries.scalar_type() == at::kFloat) {
    backward<float>(dense, in, result, all, texts, scale, functions.packed_attention_backward_f32);
  } else {
    backward<cpu::BFloat16>(dense, in, result, all, texts, scale, functions.packed_attention_backward_bf16);
  }
  return all;
}

}  // namespace grpo::kernels
