#pragma once

#include <ATen/core/Tensor.h>

#include "grpo/algo/policy_loss.h"

namespace grpo::algo {

/// What every loss is given. At tokens that do not count, log_probs, log_ratio and advantages are 0.
struct LossTokens {
  at::Tensor log_probs;   // [N] with gradient
  at::Tensor log_ratio;   // [N] with gradient, not clamped
  at::Tensor advantages;  // [N]
  at::Tensor mask;        // [N] bool, true for tokens that count; undefined: all count
  at::IntArrayRef rollout_offsets;
};

struct LossTerms {
  at::Tensor terms;         // [N] with gradient
  at::Tensor ratio;         // [N] the ratio whose largest value is reported as ratio/max
  at::Tensor clipped;       // [N] bool; undefined where nothing clips
  at::Tensor dual_clipped;  // [N] bool; undefined without a dual clip
};

/// exp(log_ratio), with log_ratio clamped to +-20.
at::Tensor ratio_of(const at::Tensor& log_ratio);

LossTerms clip_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms gspo_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms cispo_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms sapo_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms reinforce_loss(const PolicyLossConfig& config, const LossTokens& tokens);
LossTerms pair_loss(const PolicyLossConfig& config, const LossTokens& tokens);

}  // namespace grpo::algo
