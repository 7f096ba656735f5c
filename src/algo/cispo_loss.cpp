#include <ATen/TensorOperators.h>

#include "algo/loss_terms.h"

namespace grpo::algo {

// Clips the importance weight instead of the term, so that no token loses its gradient.
LossTerms cispo_loss(const PolicyLossConfig& config, const LossTokens& tokens) {
  const double low = 1.0 - config.clip_low;
  const double high = 1.0 + config.clip_high;
  const auto ratio = ratio_of(tokens.log_ratio.detach());
  return {.terms = -ratio.clamp(low, high) * tokens.advantages * tokens.log_probs,
          .ratio = ratio,
          .clipped = (ratio < low) | (ratio > high),
          .dual_clipped = {}};
}

}  // namespace grpo::algo
