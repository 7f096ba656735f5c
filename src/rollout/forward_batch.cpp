#include "rollout/forward_batch.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace grpo::rollout {

models::PagedBatch make_batch(const std::vector<NewTokens>& sequences, at::Device device) {
  const auto s = static_cast<int64_t>(sequences.size());
  int64_t tokens = 0;
  size_t max_pages = 1;
  for (const NewTokens& sequence : sequences) {
    tokens += sequence.count;
    max_pages = std::max(max_pages, sequence.pages->size());
  }
  models::PagedBatch batch{
      .ids = at::empty({tokens}, at::kLong), .positions = at::empty({tokens}, at::kLong), .layout = {}};
  batch.layout.query_offsets = at::empty({s + 1}, at::kInt);
  batch.layout.context_lengths = at::empty({s}, at::kInt);
  batch.layout.page_table = at::zeros({s, static_cast<int64_t>(max_pages)}, at::kInt);
  auto* ids = batch.ids.mutable_data_ptr<int64_t>();
  auto* positions = batch.positions.mutable_data_ptr<int64_t>();
  auto* offsets = batch.layout.query_offsets.mutable_data_ptr<int32_t>();
  auto* lengths = batch.layout.context_lengths.mutable_data_ptr<int32_t>();
  auto* table = batch.layout.page_table.mutable_data_ptr<int32_t>();
  int64_t t = 0;
  offsets[0] = 0;
  for (int64_t i = 0; i < s; ++i) {
    const NewTokens& sequence = sequences[static_cast<size_t>(i)];
    for (int64_t j = 0; j < sequence.count; ++j, ++t) {
      ids[t] = sequence.ids[j];
      positions[t] = sequence.cached + j;
    }
    offsets[i + 1] = static_cast<int32_t>(t);
    lengths[i] = static_cast<int32_t>(sequence.cached + sequence.count);
    std::copy(sequence.pages->begin(), sequence.pages->end(), table + i * static_cast<int64_t>(max_pages));
  }
  if (!device.is_cpu()) {
    for (auto* tensor : {&batch.ids, &batch.positions, &batch.layout.query_offsets, &batch.layout.context_lengths,
                         &batch.layout.page_table}) {
      *tensor = tensor->to(device);
    }
  }
  return batch;
}

}  // namespace grpo::rollout
