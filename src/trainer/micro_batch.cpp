#include "trainer/micro_batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "grpo/kernels/upload.h"

namespace grpo::trainer {
namespace {

// All of its ids and indices in one copy.
void to_device(MicroBatch& micro, at::Device device) {
  if (device.is_cpu()) return;
  const std::array<at::Tensor*, 4> parts = {&micro.packed.ids, &micro.packed.positions, &micro.hidden_rows, &micro.targets};
  const auto all = kernels::Upload(device, /*in_place=*/false)(at::cat({*parts[0], *parts[1], *parts[2], *parts[3]}));
  int64_t start = 0;
  for (at::Tensor* part : parts) {
    *part = all.narrow(0, start, part->size(0));
    start += part->size(0);
  }
}

}  // namespace

int64_t packed_length(const RolloutBatch& batch, size_t index) {
  const Rollout& rollout = batch.rollouts[index];
  return static_cast<int64_t>(batch.prompts[rollout.prompt].ids.size() + rollout.completion.ids.size()) - 1;
}

double work_of(const RolloutBatch& batch, size_t index, const models::ModelConfig& model) {
  const auto tokens = static_cast<double>(packed_length(batch, index));
  const auto attention = static_cast<double>(model.num_layers * model.num_heads * model.head_dim);
  return tokens * (static_cast<double>(model.num_parameters()) + attention * tokens);
}

std::vector<std::vector<size_t>> split_micro_batches(const RolloutBatch& batch, const std::vector<size_t>& rollouts,
                                                     const models::ModelConfig& model, int64_t max_tokens) {
  struct Part {
    std::vector<size_t> rollouts;
    double work = 0.0;
    int64_t tokens = 0;
  };
  std::vector<size_t> longest_first = rollouts;
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [&](size_t a, size_t b) { return packed_length(batch, a) > packed_length(batch, b); });
  int64_t tokens = 0;
  for (const size_t index : rollouts) tokens += packed_length(batch, index);
  std::vector<Part> parts(static_cast<size_t>((tokens + max_tokens - 1) / max_tokens));
  for (const size_t index : longest_first) {
    const int64_t length = packed_length(batch, index);
    Part* least = nullptr;
    for (Part& part : parts) {
      const bool has_room = part.rollouts.empty() || part.tokens + length <= max_tokens;
      if (has_room && (least == nullptr || part.work < least->work)) least = &part;
    }
    if (least == nullptr) least = &parts.emplace_back();
    least->rollouts.push_back(index);
    least->work += work_of(batch, index, model);
    least->tokens += length;
  }
  std::vector<std::vector<size_t>> filled;
  for (Part& part : parts) {
    if (!part.rollouts.empty()) filled.push_back(std::move(part.rollouts));
  }
  return filled;
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
  micro.packed = nn::PackedBatch::pack(sequences);
  micro.hidden_rows = at::tensor(rows, at::kLong);
  micro.targets = at::tensor(targets, at::kLong);
  to_device(micro, device);
  return micro;
}

}  // namespace grpo::trainer
