#pragma once

#include <cstdint>
#include <vector>

#include "grpo/trainer/train_config.h"
#include "trainer/accuracy_tracker.h"

namespace grpo::trainer {

/// Completions that a group begins with where nothing is predicted.
int64_t first_size(const RolloutConfig& config);

/// Completions of the largest group that a step can have.
int64_t largest_size(const RolloutConfig& config);

/// Rollouts that a step can have at most.
int64_t most_rollouts(const RolloutConfig& config);

/// Sequences that a step can have open at one time at most: a tied group's replacement begins when it has ended.
int64_t most_together(const RolloutConfig& config);

/// The size that a tied group of `size` completions grows to; 0: none.
int64_t next_size(const RolloutConfig& config, int64_t size);

/// The first sample that is compared in a group of `size` (rollout.adaptive.advantage_from).
int64_t first_compared(const RolloutConfig& config, int64_t size);

/// Hands out the sizes of a step's groups in the order of its draws. With rollout.adaptive.mode: predict a prompt gets
/// the smallest choice G with 1 - p^G - (1 - p)^G >= min_mixed, or the largest choice where none has it, p: its running
/// accuracy; and smaller ones where max_rollouts would not leave the smallest for each of the step's further prompts.
class GroupSizes {
 public:
  GroupSizes(const RolloutConfig& config, const AccuracyTracker& accuracy) : config_(config), accuracy_(accuracy) {}

  /// Of the step's next prompt.
  int64_t next(int64_t row);

 private:
  int64_t wanted(int64_t row) const;

  const RolloutConfig& config_;
  const AccuracyTracker& accuracy_;
  int64_t prompts_ = 0;
  int64_t rollouts_ = 0;
};

/// Throws base::ConfigError for choices that do not rise, and for bounds that do not leave room for a step's prompts.
void validate_groups(const RolloutConfig& config);

}  // namespace grpo::trainer
