#include "grpo/nn/packed_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include "grpo/base/error.h"

namespace grpo::nn {

PackedBatch PackedBatch::pack(const std::vector<std::vector<int64_t>>& sequences, at::Device device) {
  PackedBatch batch;
  batch.offsets = {0};
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  for (const auto& sequence : sequences) {
    GRPO_CHECK(!sequence.empty(), "sequence ", batch.offsets.size() - 1, " has no ids");
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    for (size_t t = 0; t < sequence.size(); ++t) positions.push_back(static_cast<int64_t>(t));
    batch.offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  batch.ids = at::tensor(ids, at::kLong).to(device);
  batch.positions = at::tensor(positions, at::kLong).to(device);
  return batch;
}

}  // namespace grpo::nn
