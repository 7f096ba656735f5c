#include "rollout/forward_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "grpo/base/error.h"

namespace grpo::rollout {

namespace {

int64_t tokens_after(const NewTokens& sequence) { return sequence.cached + sequence.count; }

kernels::PagedLayout make_layout(const std::vector<NewTokens>& sequences, int64_t page_size) {
  std::vector<int32_t> queries = {0}, lengths, offsets = {0}, ids;
  for (const NewTokens& sequence : sequences) {
    const int64_t pages = (tokens_after(sequence) + page_size - 1) / page_size;
    GRPO_CHECK(pages <= static_cast<int64_t>(sequence.pages->size()), tokens_after(sequence), " tokens in ",
               sequence.pages->size(), " pages of ", page_size);
    ids.insert(ids.end(), sequence.pages->begin(), sequence.pages->begin() + pages);
    queries.push_back(queries.back() + static_cast<int32_t>(sequence.count));
    lengths.push_back(static_cast<int32_t>(tokens_after(sequence)));
    offsets.push_back(static_cast<int32_t>(ids.size()));
  }
  return {.query_offsets = at::tensor(queries, at::kInt),
          .context_lengths = at::tensor(lengths, at::kInt),
          .page_offsets = at::tensor(offsets, at::kInt),
          .page_ids = at::tensor(ids, at::kInt),
          .schedule = nullptr};
}

}  // namespace

ForwardBatch make_batch(const std::vector<NewTokens>& sequences, int64_t page_size) {
  ForwardBatch batch{.ids = {}, .positions = {}, .layout = make_layout(sequences, page_size)};
  const int64_t tokens = batch.layout.query_offsets.const_data_ptr<int32_t>()[sequences.size()];
  batch.positions = at::empty({tokens}, at::kLong);
  auto* positions = batch.positions.mutable_data_ptr<int64_t>();
  for (const NewTokens& sequence : sequences) {
    std::iota(positions, positions + sequence.count, sequence.cached);
    positions += sequence.count;
  }
  if (sequences.empty() || sequences.front().ids == nullptr) return batch;
  batch.ids = at::empty({tokens}, at::kLong);
  auto* ids = batch.ids.mutable_data_ptr<int64_t>();
  for (const NewTokens& sequence : sequences) ids = std::copy_n(sequence.ids, sequence.count, ids);
  return batch;
}

std::vector<int64_t> graph_sizes(int64_t max_sequences) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size < max_sequences; size += size < 64 ? size : 32) sizes.push_back(size);
  sizes.push_back(max_sequences);
  return sizes;
}

}  // namespace grpo::rollout
