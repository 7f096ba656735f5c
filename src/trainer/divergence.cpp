#include "trainer/divergence.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::trainer {
namespace {

constexpr int64_t kNonFiniteUpdates = 5;
constexpr double kLargeRatio = 100.0;  // far outside the clip range, which by default is 0.8 to 1.28
constexpr int64_t kRatioSteps = 3;
constexpr int64_t kConstantSteps = 10;  // many, since in a small batch all rewards may well be equal now and then
constexpr int64_t kUsualSteps = 5;      // the first steps, whose mean length counts as the usual one
constexpr double kShortShare = 0.1;     // a length below this share of the usual one is short
constexpr double kShortTokens = 8.0;    // where the usual length is below this, no length counts as short
constexpr int64_t kShortSteps = 3;

const std::string& name_of(Divergence kind) {
  static const auto names = enum_names(Divergence{});
  return names.at(static_cast<size_t>(kind));
}

}  // namespace

void validate_stop_on(const std::vector<std::string>& names) {
  const auto known = enum_names(Divergence{});
  for (const auto& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw base::ConfigError("trainer.stop_on.signs: unknown sign \"" + name + "\"" + base::did_you_mean(name, known));
  }
}

bool stops_on(const std::vector<std::string>& names, Divergence kind) {
  return std::find(names.begin(), names.end(), name_of(kind)) != names.end();
}

bool DivergenceWatch::lasts(Sign& sign, bool shows, int64_t step, int64_t steps) {
  if (!shows) {
    sign = {};
    return false;
  }
  if (sign.since == 0) sign.since = step;
  return step - sign.since + 1 >= steps && !std::exchange(sign.said, true);
}

// Whether completions are short compared with those of the first steps. In these steps it measures what is usual.
bool DivergenceWatch::shows_short(const StepSigns& signs) {
  if (std::isnan(signs.length_mean)) return false;
  if (lengths_ < kUsualSteps) {
    usual_length_ += (signs.length_mean - usual_length_) / static_cast<double>(++lengths_);
    return false;
  }
  return usual_length_ >= kShortTokens && signs.length_mean < kShortShare * usual_length_;
}

std::vector<Finding> DivergenceWatch::look_at(int64_t step, const StepSigns& signs) {
  std::vector<Finding> found;
  // The optimizer counts skipped updates itself. So this sign is reported in the first step in which there are enough
  // of them in a row, however few steps they took.
  if (lasts(non_finite_, signs.skipped_updates > 0, step, signs.skipped_updates >= kNonFiniteUpdates ? 1 : step + 1)) {
    found.push_back({Divergence::kNonFinite, base::concat("the gradient was not finite in ", signs.skipped_updates,
                                                          " updates in a row, since step ", non_finite_.since)});
  }
  if (lasts(ratio_, signs.ratio_max > kLargeRatio, step, kRatioSteps)) {
    found.push_back(
        {Divergence::kRatio,
         base::concat(
             "the largest ratio of new to old probability has been above ", kLargeRatio, " since step ", ratio_.since,
             " (now ", signs.ratio_max,
             "): the policy moves too far within a step. Try a smaller optimizer.lr or fewer updates a step")});
  }
  if (lasts(reward_, signs.reward_std == 0.0, step, kConstantSteps)) {
    found.push_back({Divergence::kConstantReward,
                     base::concat("every reward has been ", signs.reward_mean, " since step ", reward_.since,
                                  ": nothing can be learned from them. Check reward.terms, data.answer_key and "
                                  "model.template against a few rollouts")});
  }
  if (lasts(length_, shows_short(signs), step, kShortSteps)) {
    found.push_back({Divergence::kLengthCollapse,
                     base::concat("completions have been shorter than a tenth of their first length since step ",
                                  length_.since, " (", signs.length_mean, " of ", usual_length_,
                                  " tokens): the policy may have collapsed. Look at the rollouts")});
  }
  return found;
}

bool DivergenceWatch::suspects() const {
  return non_finite_.since > 0 || ratio_.since > 0 || reward_.since > 0 || length_.since > 0;
}

bool DivergenceWatch::named() const { return non_finite_.said || ratio_.said || reward_.said || length_.said; }

nlohmann::json DivergenceWatch::to_json() const {
  auto signs = nlohmann::json::array();
  for (const Sign* sign : {&non_finite_, &ratio_, &reward_, &length_}) signs.push_back({sign->since, sign->said});
  return {{"signs", signs}, {"usual_length", usual_length_}, {"lengths", lengths_}};
}

DivergenceWatch DivergenceWatch::from_json(const nlohmann::json& state) {
  DivergenceWatch watch;
  size_t i = 0;
  for (Sign* sign : {&watch.non_finite_, &watch.ratio_, &watch.reward_, &watch.length_}) {
    const auto& saved = state.at("signs").at(i++);
    *sign = {.since = saved.at(0).get<int64_t>(), .said = saved.at(1).get<bool>()};
  }
  watch.usual_length_ = state.at("usual_length").get<double>();
  watch.lengths_ = state.at("lengths").get<int64_t>();
  return watch;
}

}  // namespace grpo::trainer
