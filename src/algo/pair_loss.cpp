#include <ATen/TensorOperators.h>

#include "algo/loss_terms.h"

namespace grpo::algo {

// Of the advantages only the sign is used, which says which of the two completions is the better one.
LossTerms pair_loss(const PolicyLossConfig&, const LossTokens& tokens) {
  return {.terms = -0.5 * tokens.advantages.sign() * tokens.log_probs,
          .ratio = ratio_of(tokens.log_ratio.detach()),
          .clipped = {},
          .dual_clipped = {}};
}

}  // namespace grpo::algo
