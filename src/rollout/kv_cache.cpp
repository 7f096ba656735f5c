#include "rollout/kv_cache.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "grpo/kernels/upload.h"

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

void KvCache::copy_pages(const std::vector<PageCopy>& copies) {
  if (copies.empty()) return;
  std::vector<int64_t> from, to;
  for (const PageCopy& copy : copies) {
    from.push_back(copy.from);
    to.push_back(copy.to);
  }
  kernels::Upload upload(layers_.front().keys.device(), /*in_place=*/false);
  const size_t sources = upload.add(at::tensor(from, at::kLong)), targets = upload.add(at::tensor(to, at::kLong));
  upload.send();
  for (auto& layer : layers_) {
    layer.keys.index_copy_(0, upload[targets], layer.keys.index_select(0, upload[sources]));
    layer.values.index_copy_(0, upload[targets], layer.values.index_select(0, upload[sources]));
  }
}

}  // namespace grpo::rollout
