#pragma once

#include <ATen/core/Tensor.h>

#include "grpo/algo/policy_loss.h"

namespace grpo::algo {

/// The inputs of each loss. Masked tokens hold zeros in them.
struct LossTokens {
  at::Tensor log_probs;   // [N] with gradient
  at::Tensor log_ratio;   // [N] with gradient, not clamped
  at::Tensor advantages;  // [N]
  at::Tensor mask;        // [N] bool or undefined
  at::IntArrayRef rollout_offsets;
};

struct LossTerms {
  at::Tensor terms;         // [N] with gradient
  at::Tensor ratio;         // [N] the ratio that the loss looks at
  at::Tensor clipped;       // [N] bool; undefined where nothing clips
  at::Tensor dual_clipped;  // [N] bool; undefined without a dual clip
};

/// exp of the log-ratio, which is clamped to +-20 before.
at::Tensor ratio_of(const at::Tensor& log_ratio);

LossTerms clip_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms gspo_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms cispo_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms sapo_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms reinforce_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms pair_loss(const PolicyLossConfig& config, const LossTokens& tokens);

}  // namespace grpo::algo
