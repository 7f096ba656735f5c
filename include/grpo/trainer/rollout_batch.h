#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "grpo/reward/reward.h"
#include "grpo/rollout/engine.h"

namespace grpo::trainer {

/// A problem as the policy sees it.
struct Prompt {
  int64_t row = 0;   // in the problem list; with the file it is the prompt's identity
  std::string id;    // label
  std::string text;  // templated
  std::string gold;
  std::vector<int64_t> ids;
  std::vector<std::string> also_right = {};  // other golds
  std::string rejected = {};                 // of a preference: the worse completion; gold is the better one
  std::string fields = {};                   // a JSON object of the row's keys that data.extra_keys names; empty: none
  std::string whole_row = {};                // its row as a JSON object, where the reward needs it; else empty
  std::string begun = {};  // what the assistant's turn has begun with already; the reward sees it before the completion
  std::string place = {};  // of the row: "FILE:LINE" or "FILE: row N"
  int64_t set = 0;         // of data.train

  std::vector<std::string> golds() const {
    std::vector<std::string> all = {gold};
    all.insert(all.end(), also_right.begin(), also_right.end());
    return all;
  }
};

/// A prompt that a step may ask.
struct Draw {
  Prompt prompt;
  uint64_t ordinal = 0;  // among all draws of the run: with sample and position the random key
  int64_t size = 0;      // completions that its group begins with
};

/// One sampled completion and everything that is known of it. In a batch the rollouts are in prompt order, whole groups
/// together.
struct Rollout {
  size_t prompt = 0;   // index into RolloutBatch::prompts
  int64_t sample = 0;  // number inside its group
  rollout::Completion completion;
  std::string text;  // completion without special tokens
  reward::Score score;
  double kl = 0.0;         // subtracted from the reward before it is compared (algorithm.kl.in: reward)
  double baseline = 0.0;   // what its reward was compared with, where it is alone in its group
  double advantage = 0.0;  // with a critic the mean of its tokens'
  // With a critic, of each token of the completion; empty where it does not count in the loss.
  std::vector<float> values = {}, returns = {}, token_advantages = {};

  bool truncated() const { return completion.finish_reason == rollout::FinishReason::kLength; }
  bool is_right() const { return score.verdict.kind == verifier::Verdict::Kind::kRight; }
};

/// What one step has sampled: Q prompts, those it began with and the fresh ones that replaced tied groups, and their
/// groups, which may differ in size.
struct RolloutBatch {
  std::vector<Prompt> prompts;         // Q
  std::vector<Rollout> rollouts;       // R, group after group
  std::vector<int64_t> group_offsets;  // [Q + 1]: prompt q has rollouts [group_offsets[q], group_offsets[q + 1])

  int64_t num_groups() const { return static_cast<int64_t>(prompts.size()); }
  /// [first, last) of prompt q's rollouts.
  std::pair<size_t, size_t> range_of(size_t q) const {
    return {static_cast<size_t>(group_offsets[q]), static_cast<size_t>(group_offsets[q + 1])};
  }
};

}  // namespace grpo::trainer
