#include "rollout/forward_batch.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace grpo::rollout {

ForwardBatch make_batch(const std::vector<NewTokens>& sequences, int64_t max_pages) {
  const auto s = static_cast<int64_t>(sequences.size());
  int64_t tokens = 0, width = std::max<int64_t>(max_pages, 1);
  for (const NewTokens& sequence : sequences) {
    tokens += sequence.count;
    width = std::max(width, static_cast<int64_t>(sequence.pages->size()));
  }
  const bool has_ids = s > 0 && sequences.front().ids != nullptr;
  ForwardBatch batch{.ids = has_ids ? at::empty({tokens}, at::kLong) : at::Tensor(),
                     .positions = at::empty({tokens}, at::kLong),
                     .layout = {.query_offsets = at::empty({s + 1}, at::kInt),
                                .context_lengths = at::empty({s}, at::kInt),
                                .page_table = at::zeros({s, width}, at::kInt),
                                .schedule = nullptr}};
  auto* ids = has_ids ? batch.ids.mutable_data_ptr<int64_t>() : nullptr;
  auto* positions = batch.positions.mutable_data_ptr<int64_t>();
  auto* offsets = batch.layout.query_offsets.mutable_data_ptr<int32_t>();
  auto* lengths = batch.layout.context_lengths.mutable_data_ptr<int32_t>();
  auto* table = batch.layout.page_table.mutable_data_ptr<int32_t>();
  int64_t t = 0;
  offsets[0] = 0;
  for (int64_t i = 0; i < s; ++i) {
    const NewTokens& sequence = sequences[static_cast<size_t>(i)];
    for (int64_t j = 0; j < sequence.count; ++j, ++t) {
      if (has_ids) ids[t] = sequence.ids[j];
      positions[t] = sequence.cached + j;
    }
    offsets[i + 1] = static_cast<int32_t>(t);
    lengths[i] = static_cast<int32_t>(sequence.cached + sequence.count);
    std::copy(sequence.pages->begin(), sequence.pages->end(), table + i * width);
  }
  return batch;
}

std::vector<int64_t> graph_sizes(int64_t max_sequences) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size < max_sequences; size += size < 64 ? size : 32) sizes.push_back(size);
  sizes.push_back(max_sequences);
  return sizes;
}

}  // namespace grpo::rollout
