#include "grpo/nn/packed_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "grpo/base/error.h"

namespace grpo::nn {

PackedBatch PackedBatch::pack(const std::vector<std::vector<int64_t>>& sequences, at::Device device) {
  return pack_families({{.prompt = {}, .completions = sequences}}, device);
}

PackedBatch PackedBatch::pack_families(const std::vector<Family>& families, at::Device device) {
  PackedBatch batch;
  batch.offsets = {0};
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  const auto add_segment = [&](const std::vector<int64_t>& segment, size_t first_position) {
    ids.insert(ids.end(), segment.begin(), segment.end());
    for (size_t t = 0; t < segment.size(); ++t) positions.push_back(static_cast<int64_t>(first_position + t));
    batch.offsets.push_back(static_cast<int64_t>(ids.size()));
  };
  for (const auto& [prompt, completions] : families) {
    const size_t first = batch.offsets.size() - 1;
    if (!prompt.empty()) add_segment(prompt, 0);
    for (const auto& completion : completions) {
      GRPO_CHECK(!prompt.empty() || !completion.empty(), "sequence ", batch.offsets.size() - 1, " has no ids");
      if (!completion.empty()) add_segment(completion, prompt.size());
    }
    if (!prompt.empty() && batch.offsets.size() > first + 2)
      batch.shared.push_back({.prompt = first, .end = batch.offsets.size() - 1});
  }
  batch.ids = at::tensor(ids, at::kLong).to(device);
  batch.positions = at::tensor(positions, at::kLong).to(device);
  return batch;
}

int64_t PackedBatch::longest_text() const {
  const auto length = [&](size_t segment) { return offsets[segment + 1] - offsets[segment]; };
  int64_t longest = 0;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) longest = std::max(longest, length(s));
  for (const auto& [prompt, end] : shared) {
    for (size_t s = prompt + 1; s < end; ++s) longest = std::max(longest, length(prompt) + length(s));
  }
  return longest;
}

}  // namespace grpo::nn
