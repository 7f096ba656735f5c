#include "trainer/divergence.h"

#include <utility>

#include "grpo/base/error.h"

namespace grpo::trainer {
namespace {

constexpr double kLargeRatio = 100.0;     // clipping works between 0.8 and 1.28
constexpr int64_t kRatioSteps = 3;
constexpr int64_t kConstantSteps = 10;    // a step whose rewards are all equal happens with small batches
constexpr int64_t kUsualSteps = 5;        // whose mean length counts as the usual one
constexpr double kShortShare = 0.1;       // of the usual length
constexpr double kShortTokens = 8.0;      // a usual length below it says nothing
constexpr int64_t kShortSteps = 3;

}  // namespace

bool DivergenceWatch::lasts(Sign& sign, bool shows, int64_t step, int64_t steps) {
  if (!shows) {
    sign = {};
    return false;
  }
  if (sign.since == 0) sign.since = step;
  return step - sign.since + 1 >= steps && !std::exchange(sign.said, true);
}

std::vector<std::string> DivergenceWatch::look_at(int64_t step, const StepSigns& signs) {
  std::vector<std::string> said;
  if (lasts(ratio_, signs.ratio_max > kLargeRatio, step, kRatioSteps)) {
    said.push_back(base::concat("the largest ratio of new to old probability has been above ", kLargeRatio, " since step ", ratio_.since, " (now ",
                                signs.ratio_max, "): the policy moves too far within a step. Try a smaller optimizer.lr or fewer updates a step"));
  }
  if (lasts(reward_, signs.reward_std == 0.0, step, kConstantSteps)) {
    said.push_back(base::concat("every reward has been ", signs.reward_mean, " since step ", reward_.since,
                                ": nothing can be learned from them. Check reward.terms, data.answer_key and model.template against a few rollouts"));
  }
  if (lengths_ < kUsualSteps) {
    usual_length_ += (signs.length_mean - usual_length_) / static_cast<double>(++lengths_);
  } else if (lasts(length_, usual_length_ >= kShortTokens && signs.length_mean < kShortShare * usual_length_, step, kShortSteps)) {
    said.push_back(base::concat("completions have been shorter than a tenth of their first length since step ", length_.since, " (", signs.length_mean,
                                " of ", usual_length_, " tokens): the policy may have collapsed. Look at the rollouts"));
  }
  return said;
}

}  // namespace grpo::trainer
