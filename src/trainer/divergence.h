#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::trainer {

/// Signs of a run that has gone wrong, by the names that `trainer.stop_on` lists.
enum class Divergence {
  kNonFinite,       // the gradient was not finite in 5 updates in a row
  kRatio,           // 3 steps in a row had a ratio of new to old probability above 100
  kConstantReward,  // in 10 steps in a row every reward of the step was the same
  kLengthCollapse,  // in 3 steps in a row the mean length was below a tenth of that of the first 5 steps
};
inline std::vector<std::string> enum_names(Divergence) {
  return {"non_finite", "ratio", "constant_reward", "length_collapse"};
}

/// Throws base::ConfigError for a name that is not one of these.
void validate_stop_on(const std::vector<std::string>& names);
/// Whether `names` (trainer.stop_on.signs) has the name of `kind`.
bool stops_on(const std::vector<std::string>& names, Divergence kind);

/// The figures of a step that tell whether a run is still learning.
struct StepSigns {
  int64_t skipped_updates = 0;  // how many updates in a row, up to now, were skipped as the gradient was not finite
  double ratio_max = 0.0;       // the largest ratio of new to old probability; 0 without an update
  // NaN where the method has no such figure:
  double reward_mean = std::numeric_limits<double>::quiet_NaN();
  double reward_std = std::numeric_limits<double>::quiet_NaN();   // over all rollouts of the step
  double length_mean = std::numeric_limits<double>::quiet_NaN();  // tokens per completion
};

/// A sign that has lasted long enough to be reported.
struct Finding {
  Divergence kind;
  std::string text;  // a whole sentence
};

/// Notices these signs. Each is reported once, and again only if it has ended in between.
class DivergenceWatch {
 public:
  /// Takes in a step and returns the signs to report after it, usually none. Called once for each step.
  std::vector<Finding> look_at(int64_t step, const StepSigns& signs);

  /// Whether the last step showed any sign, even one that has not lasted long enough to be reported.
  bool suspects() const;
  /// Whether a sign that was reported still lasts.
  bool named() const;

  /// The watch's state for state.json, so that a resumed run notices what one that was never interrupted would notice.
  nlohmann::json to_json() const;
  static DivergenceWatch from_json(const nlohmann::json& state);

 private:
  struct Sign {
    int64_t since = 0;  // the first of the steps in a row that show it; 0: the last step did not
    bool said = false;  // whether it has been reported since then
  };
  // Whether the sign is to be reported now: it has lasted for `steps` steps and was not reported yet.
  static bool lasts(Sign& sign, bool shows, int64_t step, int64_t steps);
  bool shows_short(const StepSigns& signs);

  Sign non_finite_, ratio_, reward_, length_;
  double usual_length_ = 0.0;  // mean length of the first steps
  int64_t lengths_ = 0;        // how many steps that mean is of
};

}  // namespace grpo::trainer
