#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "grpo/models/model_config.h"
#include "grpo/nn/packed_batch.h"
#include "grpo/update/sequence.h"

namespace grpo::update {

/// Sequences packed for one forward and backward pass. n is the number of their targets, b that of the sequences.
struct MicroBatch {
  std::vector<size_t> sequences;  // [b] indices into the update's sequences
  nn::PackedBatch packed;         // the ids of each up to its last target, which is predicted and not read
  at::Tensor hidden_rows;         // [n] int64: the packed row that predicts each target
  at::Tensor targets;             // [n] int64: ids
  std::vector<int64_t> offsets;   // [b + 1] into the n targets
  std::vector<int64_t> groups;    // [k + 1] into the b sequences
};

/// Divides these indices into groups: neighbours of the same Sequence::group are one, and one that is alone is one.
std::vector<std::vector<size_t>> groups_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices);

/// The multiply-adds of a sequence's forward pass, up to a common factor: each token meets every weight once, and
/// attends to all tokens before it.
double work_of(const Sequence& sequence, const models::ModelConfig& model);
/// That of several, and the tokens that the model reads to train them.
double work_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
               const models::ModelConfig& model);
int64_t packed_length(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices);

/// Splits the sequences with these indices into as few micro-batches as their tokens allow, of at most max_tokens
/// packed tokens and about equal work: the longest first to the one with the least that has room. A group is never
/// split; one that is longer than max_tokens is alone.
std::vector<std::vector<size_t>> split_micro_batches(const std::vector<Sequence>& sequences,
                                                     const std::vector<size_t>& indices,
                                                     const models::ModelConfig& model, int64_t max_tokens);

/// dropout_update: the number of the update, where its passes leave out inputs (nn/adapter.h). What they leave out of a
/// token depends on that number, the sequence's ids and the token's place in it alone.
MicroBatch pack_micro_batch(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
                            at::Device device, std::optional<int64_t> dropout_update = {});

}  // namespace grpo::update
