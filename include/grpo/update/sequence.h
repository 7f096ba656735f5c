#pragma once

#include <cstdint>
#include <vector>

namespace grpo::update {

/// One text to learn from, of n ids. The model predicts each target from the ids before it. m: number of targets, at
/// least one.
struct Sequence {
  std::vector<int64_t> ids;              // [n]
  std::vector<uint8_t> targets;          // [n] 1: this id is trained; the first one never is, nothing predicts it
  std::vector<float> advantages;         // [1]: of every target, or [m]
  std::vector<float> sampler_log_probs;  // [m] of the policy that sampled it, as it said; empty: nobody sampled it
  std::vector<float>
      old_log_probs;    // [m] log pi_old; empty: the policy that trains is the one that made it (pi_old = pi)
  double weight = 1.0;  // of its terms in the loss
};

/// The completion's ids are the targets. prompt: one id at least.
Sequence sequence_of(const std::vector<int64_t>& prompt, const std::vector<int64_t>& completion);

/// Tokens that the model reads to train it: all before the last target.
int64_t packed_length(const Sequence& sequence);

/// What one update learns from. Every rank has all of it, and trains a share.
struct Batch {
  std::vector<Sequence> sequences;  // those with a gradient; the others need no pass
  double scale =
      1.0;  // of every term of the loss: algo::loss_scale of the batch, which may count sequences without a gradient
};

}  // namespace grpo::update
