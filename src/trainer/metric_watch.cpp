#include "trainer/metric_watch.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::trainer {
namespace {

std::optional<double> value_in(const metrics::MetricsLine& line, const std::string& name) {
  for (const auto& [other, value] : line.values()) {
    if (other == name) return value;
  }
  return {};
}

}  // namespace

bool is_of_evaluation(const std::string& name) { return name.starts_with("eval/") || name == "time/eval"; }

void take_from_rank_0(const std::vector<std::string>& names, dist::Communicator& communicator,
                      metrics::MetricsLine& line) {
  std::vector<std::string> found;
  std::vector<double> mine;
  for (const auto& name : names) {
    const auto value = value_in(line, name);
    if (!value) continue;
    found.push_back(name);
    mine.push_back(*value);
  }
  if (found.empty() || communicator.size() == 1) return;
  const auto theirs = communicator.all_gather(mine)[0];
  for (size_t i = 0; i < found.size(); ++i) line.add(found[i], theirs[i]);
}

// A line without figures of an evaluation does not tell which of these the run has, so a name of one is not refused
// there.
void BestOf::check(const metrics::MetricsLine& line, const std::string& key) const {
  if (name_.empty() || value_in(line, name_)) return;
  std::vector<std::string> known;
  for (const auto& [other, value] : line.values()) known.push_back(other);
  if (is_of_evaluation(name_) && std::none_of(known.begin(), known.end(), is_of_evaluation)) return;
  throw base::ConfigError(key + ": no metric of this run is called " + name_ + base::did_you_mean(name_, known));
}

bool BestOf::look_at(int64_t step, const metrics::MetricsLine& line) {
  const auto now = value_in(line, name_);
  in_line_ = now.has_value();
  if (!now || (step_ >= 0 && step_ != step && *now <= value_)) return false;
  value_ = *now;
  step_ = step;
  return true;
}

nlohmann::json BestOf::to_json() const { return {{"metric", name_}, {"value", value_}, {"step", step_}}; }

void BestOf::restore(const nlohmann::json& state) {
  if (name_.empty() || state.value("metric", "") != name_) return;
  value_ = state.at("value").get<double>();
  step_ = state.at("step").get<int64_t>();
}

void Goal::look_at(int64_t step, const metrics::MetricsLine& line) {
  best_.check(line, "trainer.stop_on.metric");
  best_.look_at(step, line);
  if (best_.is_in_line()) judge(step);
}

void Goal::judge(int64_t step) {
  judged_ = step;
  reached_.clear();
  if (best_.step() < 0) return;
  if (config_.at_least && best_.value() >= *config_.at_least) {
    reached_ = base::concat(best_.name(), " is ", best_.value(), ", at least ", *config_.at_least);
  } else if (config_.no_better_for && step - best_.step() >= *config_.no_better_for) {
    reached_ = base::concat(best_.name(), " has not been better than the ", best_.value(), " of step ", best_.step(),
                            " for ", step - best_.step(), " steps");
  }
}

nlohmann::json Goal::to_json() const {
  auto state = best_.to_json();
  state["judged"] = judged_;
  return state;
}

// The checkpoint's step may not have had the metric, as one between two evaluations. Judged there, a goal would be
// reached that the run, had it gone on, might have missed. Older checkpoints do not say which step was judged last.
void Goal::restore(const nlohmann::json& state, int64_t step) {
  best_.restore(state);
  judge(state.value("judged", step));
}

void validate_watched(const std::string& name, const std::string& key) {
  constexpr std::array kMeasuredLast = {"time/cpu", "time/checkpoint", "time/step", "memory/peak_bytes"};
  const auto refuse = [&](const std::string& why) { throw base::ConfigError(key + " " + name + ": " + why); };
  if (name == "step" || name == "time") refuse("is no metric; trainer.steps says after which step a run ends");
  if (std::find(kMeasuredLast.begin(), kMeasuredLast.end(), name) != kMeasuredLast.end())
    refuse("is measured when the step's checkpoint has been saved, too late to decide about it");
}

void validate_goal(const StopOnConfig& config) {
  validate_watched(config.metric, "trainer.stop_on.metric");
  const bool bounded = config.at_least || config.no_better_for;
  if (config.metric.empty() && bounded)
    throw base::ConfigError(
        "trainer.stop_on.at_least and no_better_for need trainer.stop_on.metric, the metric's name");
  if (!config.metric.empty() && !bounded)
    throw base::ConfigError("trainer.stop_on.metric " + config.metric + ": say when with at_least or no_better_for");
}

}  // namespace grpo::trainer
