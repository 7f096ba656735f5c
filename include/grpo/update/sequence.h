#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace grpo::update {

/// One text to learn from, of n ids. Some of the ids are targets, at least one; the model predicts each target from all
/// ids before it. m is the number of targets.
struct Sequence {
  std::vector<int64_t> ids;              // [n]
  std::vector<uint8_t> targets;          // [n] 1: this id is trained; the first one never is, nothing predicts it
  std::vector<float> advantages;         // [1]: of every target, or [m]
  std::vector<float> sampler_log_probs;  // [m] of the policy that sampled it, as it said; empty: nobody sampled it
  std::vector<float>
      old_log_probs;  // [m] log pi_old; empty: the policy that trains is the one that made it (pi_old = pi)
  std::vector<float> reference_log_probs = {};  // [m] of the reference, where set_reference_log_probs() has set them
  std::vector<float> old_values = {};           // [m] of a critic, before the step's first update (set_values())
  std::vector<float> returns = {};              // [m] what a critic is to learn
  double weight = 1.0;                          // of its terms in the loss; of a group the first one's
  int64_t group = -1;  // those of one number follow one another and are trained in one pass; negative: alone
  std::optional<double> reference_log_prob = {};  // of all targets together, where it is known before the update
};

/// A sequence whose targets are the ids of the completion. The prompt has at least one id.
Sequence sequence_of(const std::vector<int64_t>& prompt, const std::vector<int64_t>& completion);

/// The number of tokens that the model reads to train the sequence: all before its last target.
int64_t packed_length(const Sequence& sequence);

/// What one update learns from. Every rank is given all of it, and trains a share.
struct Batch {
  std::vector<Sequence> sequences;  // those that have a gradient; the others need no pass through the model
  double scale =
      1.0;  // of every term of the loss: algo::loss_scale of the batch, which may count sequences without a gradient
};

}  // namespace grpo::update
