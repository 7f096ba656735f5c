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
  int64_t row = 0;   // its number in the list of problems, by which the trackers know the prompt
  std::string id;    // a label for people
  std::string text;  // the problem in its template
  std::string gold;  // the right answer, the completion that sft teaches, or the better one of a dpo pair
  std::vector<int64_t> ids;
  std::vector<std::string> also_right = {};  // further gold answers
  std::string rejected = {};                 // the worse completion of a dpo pair
  std::string fields = {};                   // a JSON object of the row's keys that data.extra_keys names; empty: none
  std::string whole_row = {};                // the row as a JSON object, where the reward needs it; else empty
  std::string begun = {};  // how the prompt lets the assistant's turn begin; the reward sees it before the completion
  std::string place = {};  // where the row is: "FILE:LINE" or "FILE: row N"
  int64_t set = 0;         // index of its set in data.train

  std::vector<std::string> golds() const {
    std::vector<std::string> all = {gold};
    all.insert(all.end(), also_right.begin(), also_right.end());
    return all;
  }
};

/// A prompt that a step may ask.
struct Draw {
  Prompt prompt;
  uint64_t ordinal = 0;  // its number among all draws of the run, a part of the key of its random numbers
  int64_t size = 0;      // the number of completions that its group begins with
};

/// One sampled completion and everything that is known of it.
struct Rollout {
  size_t prompt = 0;   // index into RolloutBatch::prompts
  int64_t sample = 0;  // number in its group, from 0
  rollout::Completion completion;
  std::string text;  // the completion without special tokens
  reward::Score score;
  double kl = 0.0;         // subtracted from the reward before it is compared (algorithm.kl.in: reward)
  double baseline = 0.0;   // what its reward was compared with, in a group of one
  double advantage = 0.0;  // with a critic the mean over its tokens
  // With a critic, a number for each token of the completion; empty where the rollout does not count in the loss.
  std::vector<float> values = {}, returns = {}, token_advantages = {};

  bool truncated() const { return completion.finish_reason == rollout::FinishReason::kLength; }
  bool is_right() const { return score.verdict.kind == verifier::Verdict::Kind::kRight; }
};

/// What one step has sampled: the groups of Q prompts, which may differ in size. The prompts are in draw order: first
/// those that the step began with, then the fresh ones that were asked for tied groups.
struct RolloutBatch {
  std::vector<Prompt> prompts;         // Q
  std::vector<Rollout> rollouts;       // R, group after group in the order of prompts
  std::vector<int64_t> group_offsets;  // [Q + 1]: prompt q has rollouts [group_offsets[q], group_offsets[q + 1])

  int64_t num_groups() const { return static_cast<int64_t>(prompts.size()); }
  /// The rollouts of prompt q, as [first, last).
  std::pair<size_t, size_t> range_of(size_t q) const {
    return {static_cast<size_t>(group_offsets[q]), static_cast<size_t>(group_offsets[q + 1])};
  }
};

}  // namespace grpo::trainer
