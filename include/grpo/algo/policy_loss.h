#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grpo/algo/measure.h"
#include "grpo/base/fields.h"

namespace grpo::algo {

/// The per-token term to minimise. A is the advantage, rho = pi / pi_old the ratio of a token; sg stops the gradient.
enum class Loss {
  kClip,       // max(-A rho, -A clip(rho, 1 - low, 1 + high))                                PPO, arXiv 1707.06347
  kReinforce,  // -A log pi
  kGspo,       // as clip with s = exp(mean over the rollout of log rho); each token carries s's value and its own
               // gradient: sg(s) pi / sg(pi)                                                  arXiv 2507.18071
  kCispo,      // -sg(clip(rho, 1 - low, 1 + high)) A log pi                                  arXiv 2506.13585
  kSapo,       // -A (4 / tau) sigmoid(tau (rho - 1)), tau by the sign of A                   arXiv 2511.20347
  kPair,  // -sign(A) log pi / 2: with the mean over pairs, -(log pi(better one) - log pi(other)) / 2  arXiv 2510.00977
  kPairLogistic,  // no term of a token: the sequences of a group are compared (preference_loss.h)  arXiv 2605.12969
};
std::vector<std::string> enum_names(Loss);

struct PolicyLossConfig {
  Loss loss = Loss::kClip;
  double clip_low = 0.2;
  double clip_high = 0.28;
  /// c, with clip and gspo only: where A < 0 the term is at most -A c (arXiv 1912.09729).
  std::optional<double> dual_clip = std::nullopt;
  double sapo_tau_positive = 1.0;   // tau for A > 0
  double sapo_tau_negative = 1.05;  // tau otherwise
  double pair_beta = 1.0;           // beta of pair_logistic
  GRPO_FIELDS(f) {
    f("loss", loss, "the objective's term");
    f("clip_low", clip_low, "the ratio is clipped below at 1 - clip_low (clip, gspo, cispo)", base::between(0, 1));
    f("clip_high", clip_high, "the ratio is clipped above at 1 + clip_high (clip, gspo, cispo)", base::at_least(0));
    f("dual_clip", dual_clip, "bound on the ratio where the advantage is negative (clip, gspo); null is off",
      base::above(1));
    f("sapo_tau_positive", sapo_tau_positive, "temperature of sapo where the advantage is positive", base::above(0));
    f("sapo_tau_negative", sapo_tau_negative, "temperature of sapo elsewhere", base::above(0));
    f("pair_beta", pair_beta, "beta of pair_logistic: the larger, the sooner a margin is enough", base::above(0));
  }
};

/// Throws base::ConfigError when dual_clip is set for a loss that has none.
void validate(const PolicyLossConfig& config);

/// Whether the loss compares the sequences of a group (preference_loss.h) instead of adding up terms of tokens.
/// policy_loss() refuses such a loss.
inline bool compares_sequences(Loss loss) { return loss == Loss::kPairLogistic; }

/// Whether a token's term depends on no other token.
inline bool is_per_token(Loss loss) { return loss != Loss::kGspo && !compares_sequences(loss); }

/// N tokens of B packed rollouts (packed.h). All floating tensors on one device; only log_probs has a gradient.
struct PolicyLossInputs {
  at::Tensor log_probs;             // [N] log pi
  at::Tensor old_log_probs;         // [N] log pi_old; detached log_probs when the policy has not changed since
  at::Tensor advantages;            // [N]; per_token() makes it from one value per rollout
  at::IntArrayRef rollout_offsets;  // [B + 1]
  at::Tensor mask = {};             // [N] bool: tokens that count; undefined: all of them
};

struct PolicyLoss {
  at::Tensor terms;  // [N] with gradient; exactly 0, value and gradient, where the mask is false
  /// clip_fraction counts the tokens whose clipped branch is active (cispo: whose weight is clipped),
  /// clip_fraction/dual those at the bound of the dual clip, if one is set. ratio/max is the largest ratio (gspo: of a
  /// sequence). Only counted tokens are looked at; where there are none, all of these are 0.
  std::vector<Measure> measures;
};

/// The terms of config.loss, as the enumerators of Loss state them. log rho is clamped to +-20 before exp. On the
/// policy that sampled (rho = 1) both branches of clip agree and the whole gradient -A flows. Values where the mask is
/// false may be anything, also not finite. Throws what validate() throws.
/// REQUIRES: compares_sequences(config.loss) is false.
PolicyLoss policy_loss(const PolicyLossConfig& config, const PolicyLossInputs& inputs);

}  // namespace grpo::algo
