#include "trainer/value_tracker.h"

#include <nlohmann/json.hpp>

#include "trainer/accuracy_tracker.h"

namespace grpo::trainer {
namespace {
constexpr double kFirst = 2.0;  // how many rewards the first baseline counts as; Beta(1, 1) has two counts
}  // namespace

std::optional<double> ValueTracker::of(int64_t row) const {
  const auto found = values_.find(row);
  if (found == values_.end()) return {};
  return found->second.sum / found->second.weight;
}

void ValueTracker::record(int64_t row, double reward, double baseline) {
  Value& value = values_.try_emplace(row, Value{.sum = kFirst * baseline, .weight = kFirst}).first->second;
  value.sum = kForgetting * value.sum + reward;
  value.weight = kForgetting * value.weight + 1.0;
}

nlohmann::json ValueTracker::to_json() const {
  auto rows = nlohmann::json::array();
  for (const auto& [row, value] : values_) rows.push_back({row, value.sum, value.weight});
  return rows;
}

ValueTracker ValueTracker::from_json(const nlohmann::json& json) {
  ValueTracker tracker;
  for (const auto& entry : json) {
    tracker.values_[entry.at(0).get<int64_t>()] = {.sum = entry.at(1).get<double>(),
                                                   .weight = entry.at(2).get<double>()};
  }
  return tracker;
}

}  // namespace grpo::trainer
