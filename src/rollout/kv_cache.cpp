#include "rollout/kv_cache.h"

#include <ATen/ATen.h>

namespace grpo::rollout {

KvCache::KvCache(const models::CausalLM& model, int64_t num_pages, int64_t page_size) : pages_(num_pages), page_size_(page_size) {
  const auto& config = model.config();
  const auto options = at::TensorOptions(model.device()).dtype(model.dtype());
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::vector<int64_t> shape = {num_pages, page_size, config.num_kv_heads, config.head_dim};
    layers_.push_back({.keys = at::empty(shape, options), .values = at::empty(shape, options)});
  }
}

int64_t KvCache::page_bytes(const models::CausalLM& model, int64_t page_size) {
  const auto& config = model.config();
  const auto element = static_cast<int64_t>(c10::elementSize(model.dtype()));
  return 2 * config.num_layers * page_size * config.num_kv_heads * config.head_dim * element;
}

std::vector<int32_t> KvCache::fork(const std::vector<int32_t>& pages, int64_t tokens) {
  const int64_t whole = tokens / page_size_;
  std::vector<int32_t> forked(pages.begin(), pages.begin() + whole);
  for (const int32_t page : forked) pages_.share(page);
  if (tokens % page_size_ == 0) return forked;
  const int32_t source = pages[static_cast<size_t>(whole)];
  const int32_t copy = pages_.take();
  for (auto& layer : layers_) {
    layer.keys[copy].copy_(layer.keys[source]);
    layer.values[copy].copy_(layer.values[source]);
  }
  forked.push_back(copy);
  return forked;
}

void KvCache::release(std::vector<int32_t>& pages) {
  for (const int32_t page : pages) pages_.release(page);
  pages.clear();
}

}  // namespace grpo::rollout
