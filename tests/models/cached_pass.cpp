#include "models/cached_pass.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <limits>

#include "grpo/kernels/upload.h"

namespace grpo::testing {

CachedPass::CachedPass(const models::CausalLM& model, int64_t sequences, int64_t max_tokens, int64_t page_size,
                       bool exact)
    : model_(model), exact_(exact), lengths_(static_cast<size_t>(sequences), 0) {
  const auto& config = model.config();
  const kernels::AttentionShape shape{.heads = config.num_heads,
                                      .kv_heads = config.num_kv_heads,
                                      .head_dim = config.head_dim,
                                      .page_size = page_size,
                                      .dtype = model.dtype(),
                                      .exact = exact};
  planner_ = kernels::plan_attention(shape, model.device(), /*page_capacity=*/0);
  const int64_t pages = (max_tokens + page_size - 1) / page_size;
  // Page j of sequence s: far from page j + 1, in falling order.
  page_table_ = at::arange(sequences * pages, at::kInt).flip(0).view({pages, sequences}).t().contiguous();
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const auto empty = [&] {
      return at::full({sequences * pages, page_size, config.num_kv_heads, config.head_dim},
                      std::numeric_limits<double>::quiet_NaN(), at::TensorOptions(model.device()).dtype(model.dtype()));
    };
    cache_.push_back({.keys = empty(), .values = empty()});
  }
}

at::Tensor CachedPass::extend(const std::vector<std::vector<int64_t>>& added) {
  std::vector<int64_t> ids, positions;
  std::vector<int32_t> offsets = {0}, contexts, page_offsets = {0};
  std::vector<at::Tensor> pages;
  const int64_t page_size = cache_.front().keys.size(1);
  for (size_t s = 0; s < added.size(); ++s) {
    if (added[s].empty()) continue;
    for (const int64_t id : added[s]) {
      ids.push_back(id);
      positions.push_back(lengths_[s]++);
    }
    pages.push_back(page_table_[static_cast<int64_t>(s)].narrow(0, 0, (lengths_[s] + page_size - 1) / page_size));
    page_offsets.push_back(page_offsets.back() + static_cast<int32_t>(pages.back().numel()));
    offsets.push_back(static_cast<int32_t>(ids.size()));
    contexts.push_back(static_cast<int32_t>(lengths_[s]));
  }
  const auto [cos, sin] = model_.rotations(*std::max_element(lengths_.begin(), lengths_.end()));
  kernels::Upload upload(model_.device(), /*in_place=*/false);
  const models::PagedBatch batch{.ids = at::tensor(ids, at::kLong).to(model_.device()),
                                 .positions = at::tensor(positions, at::kLong).to(model_.device()),
                                 .cos = cos,
                                 .sin = sin,
                                 .layout = planner_->plan({.query_offsets = at::tensor(offsets, at::kInt),
                                                           .context_lengths = at::tensor(contexts, at::kInt),
                                                           .page_offsets = at::tensor(page_offsets, at::kInt),
                                                           .page_ids = at::cat(pages),
                                                           .schedule = nullptr},
                                                          upload)};
  return model_.logits(model_.extend(batch, cache_, exact_), exact_);
}

at::Tensor cached_logits(const models::CausalLM& model, const std::vector<std::vector<int64_t>>& sequences,
                         int64_t piece, bool exact, int64_t page_size) {
  size_t longest = 0;
  for (const auto& sequence : sequences) longest = std::max(longest, sequence.size());
  CachedPass pass(model, static_cast<int64_t>(sequences.size()), static_cast<int64_t>(longest), page_size, exact);
  std::vector<std::vector<at::Tensor>> parts(sequences.size());
  for (size_t start = 0; start < longest; start += static_cast<size_t>(piece)) {
    std::vector<std::vector<int64_t>> added;
    for (const auto& sequence : sequences) {
      const size_t from = std::min(start, sequence.size());
      const size_t to = std::min(start + static_cast<size_t>(piece), sequence.size());
      added.emplace_back(sequence.begin() + static_cast<int64_t>(from), sequence.begin() + static_cast<int64_t>(to));
    }
    const auto logits = pass.extend(added);
    int64_t next = 0;
    for (size_t s = 0; s < added.size(); ++s) {
      parts[s].push_back(logits.narrow(0, next, static_cast<int64_t>(added[s].size())));
      next += static_cast<int64_t>(added[s].size());
    }
  }
  std::vector<at::Tensor> all;
  for (const auto& sequence : parts) all.insert(all.end(), sequence.begin(), sequence.end());
  return at::cat(all);
}

}  // namespace grpo::testing
