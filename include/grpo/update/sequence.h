#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace grpo::update {

/// One text to learn from, of n ids. At least one of the ids is a target, which the model learns to predict from all
/// ids before it. m is the number of targets.
struct Sequence {
  std::vector<int64_t> ids;              // [n]
  std::vector<uint8_t> targets;          // [n] 1 for a target, else 0; the first id is none, since nothing predicts it
  std::vector<float> advantages;         // [1] the same for every target, or [m]
  std::vector<float> sampler_log_probs;  // [m] as the sampler reported them; empty: the text was not sampled
  /// [m] log pi_old. Empty where the policy has not changed since it sampled: then pi_old = pi.
  std::vector<float> old_log_probs;
  std::vector<float> reference_log_probs = {};  // [m] log pi_ref; empty before set_reference_log_probs()
  std::vector<float> old_values = {};           // [m] a critic's values before the step's first update (set_values())
  std::vector<float> returns = {};              // [m] what a critic is to learn
  double weight = 1.0;  // factor of its terms in the loss; where a group is one term, that of its first sequence counts
  /// Sequences of the same number stand next to each other and are trained in one micro-batch, as one group. With a
  /// negative number a sequence is a group of its own.
  int64_t group = -1;
  std::optional<double> reference_log_prob = {};  // log pi_ref summed over the targets, if known before the update
};

/// The sequence of a prompt and a completion, whose targets are the completion's ids. REQUIRES: the prompt has an id.
Sequence sequence_of(const std::vector<int64_t>& prompt, const std::vector<int64_t>& completion);

/// The number of tokens that the model reads to train the sequence: all before its last target.
int64_t packed_length(const Sequence& sequence);

/// What one update learns from. Every rank is given the whole batch and trains its share of it.
struct Batch {
  std::vector<Sequence> sequences;  // only those that have a gradient; the others need no pass through the model
  /// Factor of every term of the loss: algo::loss_scale() of the batch, whose denominators may also count sequences
  /// that have no gradient.
  double scale = 1.0;
};

}  // namespace grpo::update
