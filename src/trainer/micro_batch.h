#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

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

/// Splits rollouts, in order, into micro-batches of at most max_tokens packed tokens; a rollout that is longer than that
/// gets a micro-batch of its own. Neighbours in sorted length share a micro-batch, so that attention pads little.
std::vector<std::vector<size_t>> split_micro_batches(const RolloutBatch& batch, const std::vector<size_t>& rollouts,
                                                     int64_t max_tokens);

MicroBatch pack_micro_batch(const RolloutBatch& batch, const std::vector<size_t>& rollouts, at::Device device);

}  // namespace grpo::trainer
