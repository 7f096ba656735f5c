#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace grpo::trainer {

/// Whether small groups that come again find a right answer as often as one large group (Prop. 4.4 of arXiv
/// 2510.00977), over the prompts that both runs asked.
struct RecordedRounds {
  int64_t prompts = 0;
  int64_t group_size = 0;         // of the run in rounds
  std::vector<double> in_rounds;  // [m]: share of prompts with a right completion in their first m visits
  std::vector<double> at_once;    // [m]: expected share of those with one among m * group_size completions of the
                                  // other run's first visit (unbiased); as far as its groups reach
};

/// in_rounds, at_once: folders of runs with one group size each, whose every rollout is recorded
/// (logging.rollouts_per_step). Of prompts that the first visited `rounds` times or more. Throws base::ConfigError
/// where rollouts are missing, or no prompt is left.
RecordedRounds recorded_rounds(const std::string& in_rounds, const std::string& at_once, int64_t rounds);

}  // namespace grpo::trainer
