#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "grpo/algo/measure.h"
#include "grpo/base/fields.h"

namespace grpo::algo {

/// How sequences that answer the same prompt are compared. z is the score of a sequence, and m, the margin, is z of the
/// better one minus z of the other.
enum class Preference {
  /// For two sequences: -(1 - e) log sigmoid(beta m) - e log sigmoid(-beta m), where e is label_smoothing. DPO, arXiv
  /// 2305.18290; with e, arXiv 2403.00409.
  /// For more (e = 0): each sequence that is better than some others of its group has the term log(1 + sum over these
  /// others of exp(beta (z' - z))), and the loss of the group is the mean of these terms. For two sequences both
  /// formulas are the same. InfoNCE with verified answers, arXiv 2605.12969.
  kSigmoid,
  /// Two sequences: (m - 1 / (2 beta))^2. IPO, arXiv 2310.12036.
  kIpo,
};
std::vector<std::string> enum_names(Preference);

struct PreferenceConfig {
  Preference kind = Preference::kSigmoid;
  double beta = 0.1;
  double label_smoothing = 0.0;
  /// Without it z is sum log pi - sum log pi_ref over the tokens of a sequence, and with it that per token.
  bool length_normalised = false;
  bool operator==(const PreferenceConfig&) const = default;
  GRPO_FIELDS(f) {
    f("kind", kind, "sigmoid: -log sigmoid(beta m) of the margin m; ipo: (m - 1 / (2 beta))^2");
    f("beta", beta, "how far the policy may go from the reference: the larger, the less", base::above(0));
    f("label_smoothing", label_smoothing, "share of pairs that are taken to be labelled the wrong way round (sigmoid)",
      {.min = 0, .max = 0.5});
    f("length_normalised", length_normalised,
      "compare log-probs a token instead of sums; TRL's ipo is kind: ipo with it");
  }
};

/// Throws base::ConfigError for label smoothing that the kind does not have.
void validate(const PreferenceConfig& config);

/// N tokens of B packed rollouts (packed.h) in K groups. Tensors are on one device.
struct PreferenceInputs {
  at::Tensor log_probs;             // [N] log pi, with gradient
  at::IntArrayRef rollout_offsets;  // [B + 1]
  at::Tensor reference;             // [B] log pi_ref, summed over each rollout's tokens; undefined: no reference
  std::vector<float> values;        // [B] greater is better; equal ones are not compared with one another
  at::IntArrayRef group_offsets;    // [K + 1]: group k is the rollouts [offsets[k], offsets[k + 1])
};

struct PreferenceLoss {
  at::Tensor terms;  // [K] double, with gradient
  /// Means over groups, of the best and the worst rollout of each (the first of several equal ones): margin/mean of m,
  /// and margin/accuracy, the share of groups with m > 0. With a reference also the figures that other trainers report:
  /// rewards/chosen and rewards/rejected, which are beta (sum log pi - sum log pi_ref) even where z is per token,
  /// rewards/margins and rewards/accuracies of these, and logps/chosen and logps/rejected, which are sum log pi.
  std::vector<Measure> measures;
};

/// Log-probs are added up in double, and terms are double. K may be 0. REQUIRES: the values of every group differ
/// somewhere; with label smoothing or Preference::kIpo every group has two rollouts.
PreferenceLoss preference_loss(const PreferenceConfig& config, const PreferenceInputs& inputs);

}  // namespace grpo::algo
