#include <ATen/TensorOperators.h>
#include <ATen/ops/sigmoid.h>

#include "algo/loss_terms.h"

namespace grpo::algo {

// A smooth gate takes the place of the clip. Its slope in rho is 1 at rho = 1 and falls off on both sides.
LossTerms sapo_loss(const PolicyLossConfig& config, const LossTokens& tokens) {
  const auto ratio = ratio_of(tokens.log_ratio);
  const auto positive = (tokens.advantages > 0).to(ratio.scalar_type());
  const auto tau = config.sapo_tau_negative + (config.sapo_tau_positive - config.sapo_tau_negative) * positive;
  return {.terms = -tokens.advantages * (4.0 / tau) * at::sigmoid(tau * (ratio - 1.0)),
          .ratio = ratio,
          .clipped = {},
          .dual_clipped = {}};
}

}  // namespace grpo::algo
