#include "update/micro_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <string_view>

#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/kernels/upload.h"
#include "update/families.h"

namespace grpo::update {
namespace {

// Brings all ids and indices of the micro-batch to the device in one copy, because each copy costs the host a launch.
void to_device(MicroBatch& micro, at::Device device) {
  if (device.is_cpu()) return;
  std::vector<at::Tensor*> parts = {&micro.packed.ids, &micro.packed.positions, &micro.hidden_rows, &micro.targets};
  if (micro.packed.dropout_keys.defined()) parts.push_back(&micro.packed.dropout_keys);
  std::vector<at::Tensor> values;
  for (const at::Tensor* part : parts) values.push_back(*part);
  const auto all = kernels::Upload(device, /*in_place=*/false)(at::cat(values));
  int64_t start = 0;
  for (at::Tensor* part : parts) {
    *part = all.narrow(0, start, part->size(0));
    start += part->size(0);
  }
}

int64_t dropout_row(uint64_t text, int64_t position, int64_t update) {
  const auto bits = base::philox({static_cast<uint32_t>(position), static_cast<uint32_t>(update),
                                  static_cast<uint32_t>(static_cast<uint64_t>(update) >> 32), 0},
                                 {static_cast<uint32_t>(text), static_cast<uint32_t>(text >> 32)});
  return static_cast<int64_t>((uint64_t{bits[0]} << 32) | bits[1]);
}

at::Tensor dropout_keys(const std::vector<nn::Family>& packed, int64_t update) {
  std::vector<int64_t> rows;
  for (const auto& [prompt, texts] : packed) {
    GRPO_CHECK(prompt.empty(), "a shared prompt with dropout");
    for (const auto& ids : texts) {
      const std::string_view bytes(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int64_t));
      const uint64_t text = base::stream_id(bytes);
      for (size_t t = 0; t < ids.size(); ++t) rows.push_back(dropout_row(text, static_cast<int64_t>(t), update));
    }
  }
  return at::tensor(rows, at::kLong);
}

}  // namespace

std::vector<std::vector<size_t>> groups_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices) {
  std::vector<std::vector<size_t>> groups;
  for (const size_t index : indices) {
    const int64_t own = sequences[index].group;
    const bool joins = own >= 0 && !groups.empty() && sequences[groups.back().front()].group == own;
    if (!joins) groups.emplace_back();
    groups.back().push_back(index);
  }
  return groups;
}

std::vector<std::vector<size_t>> split_micro_batches(const std::vector<Sequence>& sequences,
                                                     const std::vector<size_t>& indices,
                                                     const models::ModelConfig& model, SharePrompts share,
                                                     int64_t max_tokens) {
  struct Part {
    std::vector<size_t> indices;
    double work = 0.0;
    int64_t tokens = 0;
  };
  auto longest_first = families_within(sequences, indices, share, max_tokens);
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [](const Family& a, const Family& b) { return a.tokens > b.tokens; });
  int64_t tokens = 0;
  for (const Family& family : longest_first) tokens += family.tokens;
  std::vector<Part> parts(static_cast<size_t>((tokens + max_tokens - 1) / max_tokens));
  for (const Family& family : longest_first) {
    Part* least = nullptr;
    for (Part& part : parts) {
      const bool has_room = part.indices.empty() || part.tokens + family.tokens <= max_tokens;
      if (has_room && (least == nullptr || part.work < least->work)) least = &part;
    }
    if (least == nullptr) least = &parts.emplace_back();
    least->indices.insert(least->indices.end(), family.sequences.begin(), family.sequences.end());
    least->work += work_of(sequences, family, model);
    least->tokens += family.tokens;
  }
  std::vector<std::vector<size_t>> filled;
  for (Part& part : parts) {
    if (!part.indices.empty()) filled.push_back(std::move(part.indices));
  }
  return filled;
}

MicroBatch pack_micro_batch(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
                            at::Device device, SharePrompts share, std::optional<int64_t> dropout_update) {
  MicroBatch micro{.sequences = indices, .packed = {}, .hidden_rows = {}, .targets = {}, .offsets = {0}, .groups = {0}};
  std::vector<nn::Family> packed;
  std::vector<int64_t> rows;
  std::vector<int64_t> targets;
  int64_t start = 0;  // of the family in the packed batch
  for (const Family& family : families_of(sequences, indices, share)) {
    const Sequence& first = sequences[family.sequences.front()];
    nn::Family texts{.prompt = {first.ids.begin(), first.ids.begin() + family.shared}, .completions = {}};
    int64_t behind = start + family.shared;  // where the next completion is packed
    for (const size_t index : family.sequences) {
      const Sequence& sequence = sequences[index];
      const int64_t length = packed_length(sequence);
      for (int64_t t = 1; t <= length; ++t) {
        if (sequence.targets[static_cast<size_t>(t)] == 0) continue;
        rows.push_back(t <= family.shared ? start + t - 1 : behind + t - 1 - family.shared);
        targets.push_back(sequence.ids[static_cast<size_t>(t)]);
      }
      behind += length - family.shared;
      micro.offsets.push_back(static_cast<int64_t>(targets.size()));
      texts.completions.emplace_back(sequence.ids.begin() + family.shared, sequence.ids.begin() + length);
    }
    start = behind;
    packed.push_back(std::move(texts));
  }
  for (const auto& group : groups_of(sequences, indices))
    micro.groups.push_back(micro.groups.back() + static_cast<int64_t>(group.size()));
  micro.packed = nn::PackedBatch::pack_families(packed);
  if (dropout_update) micro.packed.dropout_keys = dropout_keys(packed, *dropout_update);
  micro.hidden_rows = at::tensor(rows, at::kLong);
  micro.targets = at::tensor(targets, at::kLong);
  to_device(micro, device);
  return micro;
}

}  // namespace grpo::update
