#pragma once

#include <cstdint>
#include <string>
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
  std::string fields = {};                   // a JSON object of the row's keys that data.extra_keys names; empty: none
  std::string begun = {};  // what the assistant's turn has begun with already; the reward sees it before the completion
  std::string place = {};  // of the row: "FILE:LINE" or "FILE: row N"
  int64_t set = 0;         // of data.train

  std::vector<std::string> golds() const {
    std::vector<std::string> all = {gold};
    all.insert(all.end(), also_right.begin(), also_right.end());
    return all;
  }
};

/// One sampled completion and everything that is known of it. In a batch the rollouts are in prompt order, whole groups
/// together.
struct Rollout {
  size_t prompt = 0;   // index into RolloutBatch::prompts
  int64_t sample = 0;  // number inside its group
  rollout::Completion completion;
  std::string text;  // completion without special tokens
  reward::Score score;
  double advantage = 0.0;

  bool truncated() const { return completion.finish_reason == rollout::FinishReason::kLength; }
};

/// What one step trains on: Q prompts and their groups.
struct RolloutBatch {
  std::vector<Prompt> prompts;         // Q
  std::vector<Rollout> rollouts;       // R, group after group
  std::vector<int64_t> group_offsets;  // [Q + 1]: prompt q has rollouts [group_offsets[q], group_offsets[q + 1])

  int64_t num_groups() const { return static_cast<int64_t>(prompts.size()); }
};

}  // namespace grpo::trainer
