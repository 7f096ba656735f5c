#include "trainer/accuracy_tracker.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace grpo::trainer {

AccuracyTracker::Counts AccuracyTracker::counts_of(int64_t row) const {
  const auto found = counts_.find(row);
  return found == counts_.end() ? Counts{} : found->second;
}

double AccuracyTracker::sample(int64_t row, const base::RandomKey& key) const {
  const Counts counts = counts_of(row);
  return base::beta(key, static_cast<uint64_t>(row), counts.right + 1.0, counts.wrong + 1.0);
}

double AccuracyTracker::dead_probability(int64_t row, int64_t group_size) const {
  const Counts counts = counts_of(row);
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
