#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace grpo::trainer {

/// Whether small groups that come again find a right answer as often as one large group (Prop. 4.4 of arXiv
/// 2510.00977), over the prompts that both runs asked.
struct RecordedRounds {
  int64_t prompts = 0;     // prompts that were compared
  int64_t group_size = 0;  // of the run in rounds
  /// in_rounds[m - 1] is the share of prompts that had a right completion in their first m visits.
  std::vector<double> in_rounds;
  /// at_once[m - 1] is the share of prompts to be expected with a right completion among m * group_size of the other
  /// run's first visit (pass@k, unbiased). It has as many values as the groups of that run suffice for.
  std::vector<double> at_once;
};

/// in_rounds and at_once are folders of runs that have one group size each and have recorded every rollout
/// (logging.rollouts_per_step). Compares the prompts that the first run visited at least `rounds` times and the second
/// at least once. Throws base::ConfigError where rollouts are missing, a run has groups of several sizes, or no prompt
/// is left; base::IoError for files that cannot be read.
RecordedRounds recorded_rounds(const std::string& in_rounds, const std::string& at_once, int64_t rounds);

}  // namespace grpo::trainer
