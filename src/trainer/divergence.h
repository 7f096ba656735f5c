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
  kRatio,           // a ratio of new to old probability above 100 in 3 steps in a row
  kConstantReward,  // every reward equal in 10 steps in a row
  kLengthCollapse,  // completions below a tenth of their first length in 3 steps in a row
};
inline std::vector<std::string> enum_names(Divergence) {
  return {"non_finite", "ratio", "constant_reward", "length_collapse"};
}

/// Throws base::ConfigError on a name that is none of these.
void validate_stop_on(const std::vector<std::string>& names);
/// Whether `names` (trainer.stop_on) has the name of `kind`.
bool stops_on(const std::vector<std::string>& names, Divergence kind);

/// The figures of a step that tell whether a run is still learning.
struct StepSigns {
  int64_t skipped_updates = 0;  // in a row, up to now, for a gradient that is not finite
  double ratio_max = 0.0;       // 0 without an update
  // These are not a number where the method has no such figure.
  double reward_mean = std::numeric_limits<double>::quiet_NaN();
  double reward_std = std::numeric_limits<double>::quiet_NaN();   // over all rollouts of the step
  double length_mean = std::numeric_limits<double>::quiet_NaN();  // tokens of a completion
};

struct Finding {
  Divergence kind;
  std::string text;  // a whole sentence
};

/// Notices these signs. Each is reported once, and again only after it had ended in between.
class DivergenceWatch {
 public:
  /// Says what there is to say about this step, which is usually nothing.
  std::vector<Finding> look_at(int64_t step, const StepSigns& signs);

  /// Whether the last step showed any sign, however short it has been there, or a sign that was reported still lasts.
  bool suspects() const;
  bool named() const;

  /// The watch's state for state.json, so that a run that is resumed notices what a run that was never interrupted
  /// would notice.
  nlohmann::json to_json() const;
  static DivergenceWatch from_json(const nlohmann::json& state);

 private:
  struct Sign {
    int64_t since = 0;  // first step of those in a row that show it; 0: none
    bool said = false;
  };
  // Whether the sign has just lasted for `steps` steps.
  static bool lasts(Sign& sign, bool shows, int64_t step, int64_t steps);
  bool shows_short(const StepSigns& signs);

  Sign non_finite_, ratio_, reward_, length_;
  double usual_length_ = 0.0;  // mean over the first steps
  int64_t lengths_ = 0;        // how many of them
};

}  // namespace grpo::trainer
