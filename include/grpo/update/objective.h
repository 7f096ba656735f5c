#pragma once

#include <optional>

#include "grpo/algo/aggregation.h"
#include "grpo/algo/kl.h"
#include "grpo/algo/policy_loss.h"
#include "grpo/algo/preference_loss.h"
#include "grpo/nn/lm_head.h"

namespace grpo::update {

/// What an update minimises: the weighted sum over its targets of policy_loss + kl_coef KL(pi | reference) -
/// entropy_coef H(pi). With `preference` it is the weighted sum of preference_loss over its groups of sequences
/// instead, and with `value` that of a critic's value_loss over its targets.
struct Objective {
  algo::PolicyLossConfig policy;
  algo::Aggregation aggregation = algo::Aggregation::kTokenMean;
  double kl_coef = 0.0;
  algo::KlEstimator kl_estimator = algo::KlEstimator::kK3;
  double entropy_coef = 0.0;
  double temperature = 1.0;  // logits are divided by it, as the sampler divided its own
  /// The top-k and top-p that the sampler drew with. pi is renormalised over the tokens that they leave, so that pi and
  /// the policy that sampled are the same where the weights are.
  nn::HeadTruncation truncation = {};
  /// Compares the sequences of a group with one another: the one with the greater Sequence::advantages is the better
  /// one. policy, aggregation, KL and entropy are not used then.
  std::optional<algo::PreferenceConfig> preference = {};
  bool against_reference = false;  // with `preference`: what is compared is log pi - log pi_ref and not log pi
  /// The model is a critic (models::ModelConfig::value_head) and learns Sequence::returns by algo::value_loss with this
  /// clip. Of the fields above only aggregation is used then.
  struct Value {
    std::optional<double> clip;
  };
  std::optional<Value> value = {};

  /// The objective that a reference's log-probs are computed with. The reference did not sample, so its distribution is
  /// not truncated.
  Objective of_reference() const {
    Objective whole = *this;
    whole.truncation = {};
    return whole;
  }
};

}  // namespace grpo::update
