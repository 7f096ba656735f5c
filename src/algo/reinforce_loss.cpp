#include <ATen/TensorOperators.h>

#include "algo/loss_terms.h"

namespace grpo::algo {

LossTerms reinforce_loss(const PolicyLossConfig&, const LossTokens& tokens) {
  return {.terms = -tokens.advantages * tokens.log_probs,
          .ratio = ratio_of(tokens.log_ratio.detach()),
          .clipped = {},
          .dual_clipped = {}};
}

}  // namespace grpo::algo
