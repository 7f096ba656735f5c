// PPO's clipped objective with separate bounds and a dual clip, per token and (GSPO) per sequence.
#include <ATen/TensorOperators.h>
#include <ATen/ops/where.h>

#include "algo/loss_terms.h"
#include "grpo/algo/packed.h"

namespace grpo::algo {
namespace {

// max(-A rho, -A clip(rho)) keeps rho itself unless it has left the trust region in the direction that A asks for.
// It is chosen by cases because at rho = 1 both sides are equal, and maximum() would give each half of the gradient.
LossTerms clipped_terms(const PolicyLossConfig& config, const at::Tensor& ratio, const at::Tensor& advantages) {
  const double low = 1.0 - config.clip_low;
  const double high = 1.0 + config.clip_high;
  LossTerms out;
  out.ratio = ratio;
  out.clipped = ((advantages > 0) & (ratio > high)) | ((advantages < 0) & (ratio < low));
  auto effective = at::where(out.clipped, ratio.detach().clamp(low, high), ratio);
  if (config.dual_clip) {
    out.dual_clipped = (advantages < 0) & (ratio > *config.dual_clip);
    effective = effective.masked_fill(out.dual_clipped, *config.dual_clip);
  }
  out.terms = -advantages * effective;
  return out;
}

// Gives each token the mean log-ratio of its rollout, taken over the tokens that count.
at::Tensor sequence_log_ratio(const LossTokens& tokens) {
  const auto sums = sum_per_rollout(tokens.log_ratio.detach(), tokens.rollout_offsets);
  const auto counts =
      tokens_per_rollout(tokens.mask, tokens.rollout_offsets, sums.device()).to(sums.options()).clamp_min(1);
  return per_token(sums / counts, tokens.rollout_offsets);
}

}  // namespace

LossTerms clip_loss(const PolicyLossConfig& config, const LossTokens& tokens) {
  return clipped_terms(config, ratio_of(tokens.log_ratio), tokens.advantages);
}

LossTerms gspo_loss(const PolicyLossConfig& config, const LossTokens& tokens) {
  const auto straight_through = tokens.log_probs - tokens.log_probs.detach();
  return clipped_terms(config, ratio_of(sequence_log_ratio(tokens) + straight_through), tokens.advantages);
}

}  // namespace grpo::algo
