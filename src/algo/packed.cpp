#include "grpo/algo/packed.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/segment_reduce.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <vector>

#include "algo/indices.h"
#include "grpo/base/error.h"

namespace grpo::algo {
namespace {

void check_offsets(at::IntArrayRef offsets) {
  GRPO_CHECK(!offsets.empty() && offsets.front() == 0 && std::is_sorted(offsets.begin(), offsets.end()),
             "rollout_offsets ", offsets, " must start at 0 and not decrease");
}

at::Tensor lengths_on(at::Device device, at::IntArrayRef offsets) {
  std::vector<int64_t> lengths;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) lengths.push_back(offsets[i + 1] - offsets[i]);
  return indices_on(device, lengths);
}

}  // namespace

at::Tensor indices_on(at::Device device, const std::vector<int64_t>& indices) {
  const auto values = at::tensor(indices, at::kLong);
  return device.is_cuda() ? values.pin_memory().to(device, /*non_blocking=*/true) : values.to(device);
}

at::Tensor per_token(const at::Tensor& values, at::IntArrayRef rollout_offsets) {
  check_offsets(rollout_offsets);
  GRPO_CHECK(values.dim() == 1 && values.size(0) + 1 == static_cast<int64_t>(rollout_offsets.size()), values.sizes(),
             " values for ", rollout_offsets.size() - 1, " rollouts");
  const auto lengths = lengths_on(values.device(), rollout_offsets);
  return at::repeat_interleave(values.detach(), lengths, 0, rollout_offsets.back());
}

at::Tensor sum_per_rollout(const at::Tensor& values, at::IntArrayRef rollout_offsets) {
  check_offsets(rollout_offsets);
  GRPO_CHECK(values.dim() == 1 && values.size(0) == rollout_offsets.back(), values.sizes(), " tokens, offsets end at ",
             rollout_offsets.back());
  // segment_reduce adds up each segment in order on every device, so that the same input always gives the same sum.
  // index_add would add in whatever order a GPU's threads arrive.
  return at::segment_reduce(values.contiguous(), "sum", lengths_on(values.device(), rollout_offsets), {}, {}, 0, true,
                            0.0);
}

at::Tensor tokens_per_rollout(const at::Tensor& mask, at::IntArrayRef rollout_offsets, at::Device device) {
  if (mask.defined()) return sum_per_rollout(mask.to(at::kDouble), rollout_offsets);
  check_offsets(rollout_offsets);
  return lengths_on(device, rollout_offsets).to(at::kDouble);
}

}  // namespace grpo::algo
