#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace grpo::trainer {

/// What of a step tells whether a run is still learning.
struct StepSigns {
  double ratio_max = 0.0;    // 0 without an update
  double reward_mean = 0.0;
  double reward_std = 0.0;   // over all rollouts of the step
  double length_mean = 0.0;  // tokens of a completion
};

/// Notices signs of a run that has gone wrong while every number is still finite. Each is named once, and again only after
/// it had ended in between; none of them ends a run, since each can be what somebody wants.
class DivergenceWatch {
 public:
  /// What there is to say about this step, in whole sentences; usually nothing.
  std::vector<std::string> look_at(int64_t step, const StepSigns& signs);

 private:
  struct Sign {
    int64_t since = 0;  // first step of those in a row that show it; 0: none
    bool said = false;
  };
  // Whether the sign has just lasted for `steps` steps.
  static bool lasts(Sign& sign, bool shows, int64_t step, int64_t steps);

  Sign ratio_, reward_, length_;
  double usual_length_ = 0.0;  // mean over the first steps
  int64_t lengths_ = 0;        // how many of them
};

}  // namespace grpo::trainer
