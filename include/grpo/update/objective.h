#pragma once

#include <optional>

#include "grpo/algo/aggregation.h"
#include "grpo/algo/kl.h"
#include "grpo/algo/policy_loss.h"
#include "grpo/algo/preference_loss.h"
#include "grpo/nn/lm_head.h"

namespace grpo::update {

/// What an update minimises: the weighted sum over its targets of policy_loss + kl_coef KL(pi | reference) -
/// entropy_coef H(pi); or, with `preference`, the sum over its groups of sequences of preference_loss.
struct Objective {
  algo::PolicyLossConfig policy;
  algo::Aggregation aggregation = algo::Aggregation::kTokenMean;
  double kl_coef = 0.0;
  algo::KlEstimator kl_estimator = algo::KlEstimator::kK3;
  double entropy_coef = 0.0;
  double temperature = 1.0;  // logits are divided by it, as the sampler's were
  /// pi is renormalised over what this leaves of it, and so is the policy that sampled: on it the ratio is 1.
  nn::HeadTruncation truncation = {};
  /// The sequences of a group are compared with one another by Sequence::advantages; policy, aggregation, KL and
  /// entropy have no part in it.
  std::optional<algo::PreferenceConfig> preference = {};
  bool against_reference = false;  // their log-probs are compared with the reference's
  /// The model is a critic (models::ModelConfig::value_head) and learns Sequence::returns by algo::value_loss; nothing
  /// of the above but aggregation has a part in it.
  struct Value {
    std::optional<double> clip;
  };
  std::optional<Value> value = {};

  /// What a reference's log-probs are computed with: it did not sample, so nothing is left out of it.
  Objective of_reference() const {
    Objective whole = *this;
    whole.truncation = {};
    return whole;
  }
};

}  // namespace grpo::update
