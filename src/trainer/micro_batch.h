#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "grpo/models/model_config.h"
#include "grpo/nn/packed_batch.h"
#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// Rollouts packed for one forward and backward pass. n: completion tokens in it, b: rollouts.
struct MicroBatch {
  std::vector<size_t> rollouts;          // [b] indices into RolloutBatch::rollouts
  nn::PackedBatch packed;                // prompt + completion of each, without the last token (it predicts nothing)
  at::Tensor hidden_rows;                // [n] int64: the packed row that predicts each completion token
  at::Tensor targets;                    // [n] int64: the completion tokens
  std::vector<int64_t> rollout_offsets;  // [b + 1] into the n completion tokens
};

/// Tokens that a rollout has in a micro-batch.
int64_t packed_length(const RolloutBatch& batch, size_t index);

/// Multiply-adds of a rollout's forward pass, up to a factor: every weight once a token, and attention over all earlier tokens.
double work_of(const RolloutBatch& batch, size_t index, const models::ModelConfig& model);

/// Splits rollouts into as few micro-batches as their tokens allow, of at most max_tokens packed tokens and about equal work: the
/// longest first to the one with the least that has room. A rollout that is longer than max_tokens is alone.
std::vector<std::vector<size_t>> split_micro_batches(const RolloutBatch& batch, const std::vector<size_t>& rollouts,
                                                     const models::ModelConfig& model, int64_t max_tokens);

MicroBatch pack_micro_batch(const RolloutBatch& batch, const std::vector<size_t>& rollouts, at::Device device);

}  // namespace grpo::trainer
