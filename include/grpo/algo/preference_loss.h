#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "grpo/algo/measure.h"
#include "grpo/base/fields.h"

namespace grpo::algo {

/// How sequences that answer the same prompt are compared. z: score of a sequence; m: z of the better one minus z of
/// the other.
enum class Preference {
  /// Two sequences: -(1 - e) log sigmoid(beta m) - e log sigmoid(-beta m), e: label_smoothing. DPO, arXiv 2305.18290;
  /// with e, arXiv 2403.00409.
  /// Any number (e = 0): the mean, over the sequences that are better than others of their group, of
  /// log(1 + sum over these others of exp(beta (z' - z))). InfoNCE with verified answers, arXiv 2605.12969; of two
  /// sequences it is the above.
  kSigmoid,
  /// Two sequences: (m - 1 / (2 beta))^2. IPO, arXiv 2310.12036.
  kIpo,
};
std::vector<std::string> enum_names(Preference);

struct PreferenceConfig {
  Preference kind = Preference::kSigmoid;
  double beta = 0.1;
  double label_smoothing = 0.0;
  /// The score is per token: without it z = sum log pi - sum log pi_ref, with it that divided by the tokens.
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
  at::Tensor reference;           // [B] log pi_ref of all tokens of each, no gradient; undefined: compared without one
  std::vector<float> values;      // [B] greater is better; equal ones are not compared with one another
  at::IntArrayRef group_offsets;  // [K + 1]: group k is the rollouts [offsets[k], offsets[k + 1])
};

struct PreferenceLoss {
  at::Tensor terms;  // [K] double, with gradient
  /// Of the first best and worst of each group, means: margin/mean, m; margin/accuracy, the share with m > 0; with a
  /// reference, as other trainers have them, rewards/chosen, rewards/rejected (beta times sum log pi - sum log pi_ref,
  /// also where z is per token), rewards/margins, rewards/accuracies, logps/chosen and logps/rejected (sum log pi).
  std::vector<Measure> measures;
};

/// Sums and terms are in double. K may be 0. REQUIRES: in every group some values differ; with label smoothing or
/// Preference::kIpo every group has two rollouts.
PreferenceLoss preference_loss(const PreferenceConfig& config, const PreferenceInputs& inputs);

}  // namespace grpo::algo
