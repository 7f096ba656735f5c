#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::algo {

// Packed rollouts: the N completion tokens of B rollouts follow each other without padding, and rollout_offsets [B + 1]
// says where each rollout begins: the tokens of rollout i are [offsets[i], offsets[i + 1]).

/// One value per rollout, repeated for each of its tokens. values: [B] -> [N], same dtype and device; no gradient.
at::Tensor per_token(const at::Tensor& values, at::IntArrayRef rollout_offsets);

/// Sum over each rollout's tokens; 0 for a rollout without tokens. values: [N] -> [B], differentiable.
at::Tensor sum_per_rollout(const at::Tensor& values, at::IntArrayRef rollout_offsets);

/// The number of counted tokens of each rollout. mask: [N] bool, true for a token that counts; undefined: all count.
/// Returns [B] double on the mask's device, or on `device` where there is no mask.
at::Tensor tokens_per_rollout(const at::Tensor& mask, at::IntArrayRef rollout_offsets, at::Device device = at::kCPU);

}  // namespace grpo::algo
