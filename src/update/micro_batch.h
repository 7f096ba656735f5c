#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "grpo/models/model_config.h"
#include "grpo/nn/packed_batch.h"
#include "grpo/update/sequence.h"
#include "grpo/update/share_prompts.h"

namespace grpo::update {

/// Sequences packed for one forward and backward pass. b is the number of sequences, n that of their targets and k that
/// of their groups.
struct MicroBatch {
  std::vector<size_t> sequences;  // [b] indices into the update's sequences
  nn::PackedBatch packed;         // the ids of each before its last target, which is predicted but not read
  at::Tensor hidden_rows;         // [n] int64: the packed row that predicts each target; a shared one several times
  at::Tensor targets;             // [n] int64: ids
  std::vector<int64_t> offsets;   // [b + 1] where the targets of each sequence begin
  std::vector<int64_t> groups;    // [k + 1] where the sequences of each group begin
};

/// Divides these indices into groups: neighbours with the same Sequence::group of 0 or more are one group, and every
/// other sequence is a group of its own.
std::vector<std::vector<size_t>> groups_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices);

/// Splits the sequences with these indices into micro-batches of at most max_tokens tokens (families.h) and about equal
/// work. It begins with as few as their tokens need and hands out whole families, the longest first, each to the
/// micro-batch with the least work that has room for it; where none has, a further one is opened. A family that is
/// longer than max_tokens is divided; a group that is longer is alone in its micro-batch.
std::vector<std::vector<size_t>> split_micro_batches(const std::vector<Sequence>& sequences,
                                                     const std::vector<size_t>& indices,
                                                     const models::ModelConfig& model, SharePrompts share,
                                                     int64_t max_tokens);

/// Packs the sequences with these indices on the device, and the prompts that they share once. dropout_update: the
/// number of the update where the model has dropout, else nullopt. What dropout leaves out at a token (nn/adapter.h)
/// depends only on that number, the ids of the sequence and the token's place in it, and so not on how the batch is
/// split. REQUIRES: without dropout, or `share` is kFalse.
MicroBatch pack_micro_batch(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
                            at::Device device, SharePrompts share, std::optional<int64_t> dropout_update = {});

}  // namespace grpo::update
