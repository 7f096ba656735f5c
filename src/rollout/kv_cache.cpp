#include "rollout/kv_cache.h"

#include <ATen/ATen.h>

namespace grpo::rollout {

KvCache::KvCache(const models::CausalLM& model, int64_t num_pages, int64_t page_size) : num_pages_(num_pages) {
  const auto& config = model.config();
  const auto options = at::TensorOptions(model.device()).dtype(model.dtype());
  const std::vector<int64_t> shape = {num_pages + 1, page_size, config.num_kv_heads, config.head_dim};
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    layers_.push_back({.keys = at::empty(shape, options), .values = at::empty(shape, options)});
  }
}

int64_t KvCache::page_bytes(const models::CausalLM& model, int64_t page_size) {
  const auto& config = model.config();
  const auto element = static_cast<int64_t>(c10::elementSize(model.dtype()));
  return 2 * config.num_layers * page_size * config.num_kv_heads * config.head_dim * element;
}

void KvCache::copy_page(int32_t from, int32_t to) {
  for (auto& layer : layers_) {
    layer.keys[to].copy_(layer.keys[from]);
    layer.values[to].copy_(layer.values[from]);
  }
}

}  // namespace grpo::rollout
