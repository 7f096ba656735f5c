#include "trainer/accuracy_tracker.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace grpo::trainer {
namespace {
// What an earlier visit of a prompt still counts for at the next one: the policy moves, so old answers say less.
constexpr double kForgetting = 0.7;
}  // namespace

double AccuracyTracker::dead_probability(int64_t row, int64_t group_size) const {
  const auto found = counts_.find(row);
  const Counts counts = found == counts_.end() ? Counts{} : found->second;
  const double p = (counts.right + 1.0) / (counts.right + counts.wrong + 2.0);
  const auto g = static_cast<double>(group_size);
  return std::pow(p, g) + std::pow(1.0 - p, g);
}

void AccuracyTracker::record(int64_t row, int64_t right, int64_t total) {
  Counts& counts = counts_[row];
  counts.right = kForgetting * counts.right + static_cast<double>(right);
  counts.wrong = kForgetting * counts.wrong + static_cast<double>(total - right);
}

nlohmann::json AccuracyTracker::to_json() const {
  auto rows = nlohmann::json::array();
  for (const auto& [row, counts] : counts_) rows.push_back({row, counts.right, counts.wrong});
  return rows;
}

AccuracyTracker AccuracyTracker::from_json(const nlohmann::json& json) {
  AccuracyTracker tracker;
  for (const auto& entry : json) {
    tracker.counts_[entry.at(0).get<int64_t>()] = {entry.at(1).get<double>(), entry.at(2).get<double>()};
  }
  return tracker;
}

}  // namespace grpo::trainer
