#pragma once

#include <cstdint>
#include <vector>

#include "grpo/trainer/train_config.h"
#include "trainer/accuracy_tracker.h"

namespace grpo::trainer {

/// The number of completions that a group begins with, except where its size is predicted.
int64_t first_size(const RolloutConfig& config);

/// The number of completions of the largest group that a step can have.
int64_t largest_size(const RolloutConfig& config);

/// The largest number of rollouts that a step can have.
int64_t most_rollouts(const RolloutConfig& config);

/// The largest number of sequences that a step can decode at one time. Replacements of tied groups do not add to it,
/// since they begin when the tied group has ended.
int64_t most_together(const RolloutConfig& config);

/// The size that a tied group of `size` completions is extended to; 0 if it is not extended.
int64_t next_size(const RolloutConfig& config, int64_t size);

/// The number of the first sample that counts in the comparison of a group of `size` completions
/// (rollout.adaptive.advantage_from).
int64_t first_compared(const RolloutConfig& config, int64_t size);

/// Hands out the first sizes of a step's groups, in the order of its draws. With rollout.adaptive.mode: predict and p
/// the running accuracy of a prompt, its size is the smallest choice G with 1 - p^G - (1 - p)^G >= min_mixed, or the
/// largest choice if there is none; a prompt that was never asked gets the smallest choice. A group is made smaller
/// where max_rollouts would else not leave the smallest choice for each of the step's further prompts.
class GroupSizes {
 public:
  GroupSizes(const RolloutConfig& config, const AccuracyTracker& accuracy) : config_(config), accuracy_(accuracy) {}

  /// The size of the group of the step's next prompt, which is in this row.
  int64_t next(int64_t row);

 private:
  int64_t wanted(int64_t row) const;

  const RolloutConfig& config_;
  const AccuracyTracker& accuracy_;
  int64_t prompts_ = 0;
  int64_t rollouts_ = 0;
};

/// Throws base::ConfigError for choices that do not rise, for bounds on rollouts that do not suffice for a step's
/// prompts, and for rollout.resample with modes that it does not go with.
void validate_groups(const RolloutConfig& config);

}  // namespace grpo::trainer
