#include <ATen/TensorOperators.h>

#include "algo/loss_terms.h"

namespace grpo::algo {

// Which of the two is the better one is all that it takes from the advantages.
LossTerms pair_loss(const PolicyLossConfig&, const LossTokens& tokens) {
  return {.terms = -0.5 * tokens.advantages.sign() * tokens.log_probs,
          .ratio = ratio_of(tokens.log_ratio.detach()),
          .clipped = {},
          .dual_clipped = {}};
}

}  // namespace grpo::algo
