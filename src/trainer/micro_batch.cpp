#include "trainer/micro_batch.h"

#include <algorithm>

namespace grpo::trainer {
namespace {

int64_t packed_length(const RolloutBatch& batch, size_t index) {
  const Rollout& rollout = batch.rollouts[index];
  return static_cast<int64_t>(batch.prompts[rollout.prompt].ids.size() + rollout.completion.ids.size()) - 1;
}

at::Tensor to_tensor(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

}  // namespace

std::vector<std::vector<size_t>> split_micro_batches(const RolloutBatch& batch, const std::vector<size_t>& rollouts,
                                                     int64_t max_tokens) {
  std::vector<size_t> by_length = rollouts;
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](size_t a, size_t b) { return packed_length(batch, a) > packed_length(batch, b); });
  std::vector<std::vector<size_t>> parts;
  int64_t used = 0;
  for (const size_t index : by_length) {
    const int64_t length = packed_length(batch, index);
    if (parts.empty() || used + length > max_tokens) {
      parts.emplace_back();
      used = 0;
    }
    parts.back().push_back(index);
    used += length;
  }
  return parts;
}

MicroBatch pack_micro_batch(const RolloutBatch& batch, const std::vector<size_t>& rollouts, at::Device device) {
  MicroBatch micro{.rollouts = rollouts, .packed = {}, .hidden_rows = {}, .targets = {}, .rollout_offsets = {0}};
  std::vector<std::vector<int64_t>> sequences;
  std::vector<int64_t> rows;
  std::vector<int64_t> targets;
  int64_t start = 0;
  for (const size_t index : rollouts) {
    const auto& completion = batch.rollouts[index].completion.ids;
    std::vector<int64_t> sequence = batch.prompts[batch.rollouts[index].prompt].ids;
    const auto prompt_length = static_cast<int64_t>(sequence.size());
    sequence.insert(sequence.end(), completion.begin(), completion.end() - 1);
    for (size_t t = 0; t < completion.size(); ++t) {
      rows.push_back(start + prompt_length - 1 + static_cast<int64_t>(t));
      targets.push_back(completion[t]);
    }
    start += static_cast<int64_t>(sequence.size());
    micro.rollout_offsets.push_back(static_cast<int64_t>(targets.size()));
    sequences.push_back(std::move(sequence));
  }
  micro.packed = nn::PackedBatch::pack(sequences, device);
  micro.hidden_rows = to_tensor(rows, device);
  micro.targets = to_tensor(targets, device);
  return micro;
}

}  // namespace grpo::trainer
