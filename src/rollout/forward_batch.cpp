#include "rollout/forward_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

#include "grpo/base/error.h"

namespace grpo::rollout {

namespace {

int64_t tokens_after(const NewTokens& sequence) { return sequence.cached + sequence.count; }

int64_t pages_of(const NewTokens& sequence, int64_t page_size) {
  const int64_t pages = (tokens_after(sequence) + page_size - 1) / page_size;
  GRPO_CHECK(pages <= static_cast<int64_t>(sequence.pages->size()), tokens_after(sequence), " tokens in ",
             sequence.pages->size(), " pages of ", page_size);
  return pages;
}

void set_layout(kernels::PagedLayout& layout, const std::vector<NewTokens>& sequences, int64_t page_size) {
  const auto count = static_cast<int64_t>(sequences.size());
  int64_t all_pages = 0;
  for (const NewTokens& sequence : sequences) all_pages += pages_of(sequence, page_size);
  resize_host(layout.query_offsets, count + 1, at::kInt);
  resize_host(layout.context_lengths, count, at::kInt);
  resize_host(layout.page_offsets, count + 1, at::kInt);
  resize_host(layout.page_ids, all_pages, at::kInt);
  auto* queries = layout.query_offsets.mutable_data_ptr<int32_t>();
  auto* lengths = layout.context_lengths.mutable_data_ptr<int32_t>();
  auto* offsets = layout.page_offsets.mutable_data_ptr<int32_t>();
  auto* ids = layout.page_ids.mutable_data_ptr<int32_t>();
  *queries = *offsets = 0;
  for (const NewTokens& sequence : sequences) {
    const int64_t pages = pages_of(sequence, page_size);
    ids = std::copy_n(sequence.pages->begin(), pages, ids);
    *lengths++ = static_cast<int32_t>(tokens_after(sequence));
    queries[1] = queries[0] + static_cast<int32_t>(sequence.count);
    offsets[1] = offsets[0] + static_cast<int32_t>(pages);
    ++queries, ++offsets;
  }
}

}  // namespace

void resize_host(at::Tensor& tensor, int64_t size, at::ScalarType type) {
  if (!tensor.defined() || tensor.numel() != size) tensor = at::empty({size}, type);
}

ForwardBatch make_batch(const std::vector<NewTokens>& sequences, int64_t page_size) {
  ForwardBatch batch;
  set_batch(batch, sequences, page_size);
  return batch;
}

void set_batch(ForwardBatch& batch, const std::vector<NewTokens>& sequences, int64_t page_size) {
  set_layout(batch.layout, sequences, page_size);
  const int64_t tokens = batch.layout.query_offsets.const_data_ptr<int32_t>()[sequences.size()];
  resize_host(batch.positions, tokens, at::kLong);
  auto* positions = batch.positions.mutable_data_ptr<int64_t>();
  for (const NewTokens& sequence : sequences) {
    std::iota(positions, positions + sequence.count, sequence.cached);
    positions += sequence.count;
  }
  if (sequences.empty() || sequences.front().ids == nullptr) return;
  resize_host(batch.ids, tokens, at::kLong);
  auto* ids = batch.ids.mutable_data_ptr<int64_t>();
  for (const NewTokens& sequence : sequences) ids = std::copy_n(sequence.ids, sequence.count, ids);
}

std::vector<int64_t> graph_sizes(int64_t max_sequences) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size < max_sequences; size += size < 64 ? size : 32) sizes.push_back(size);
  sizes.push_back(max_sequences);
  return sizes;
}

}  // namespace grpo::rollout
