#include "trainer/uncertain_order.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/random.h"

namespace grpo::trainer {
namespace {

base::RandomKey key_of(uint64_t seed, const char* what, uint64_t first_draw) {
  return {.seed = seed, .stream = base::stream_id(base::concat(what, " ", first_draw))};
}

std::vector<double> weights_of(const AccuracyTracker& accuracy, int64_t num_prompts, const base::RandomKey& key) {
  std::vector<double> weights;
  for (int64_t row = 0; row < num_prompts; ++row) {
    const double p = accuracy.sample(row, key);
    weights.push_back(std::max(p * (1.0 - p), kLeastWeight));
  }
  return weights;
}

// All rows in the order in which they are drawn without replacement: that of exponential times with these rates.
std::vector<int64_t> drawn_once(const std::vector<double>& weights, const base::RandomKey& key, uint32_t round) {
  std::vector<std::pair<double, int64_t>> times;
  for (size_t row = 0; row < weights.size(); ++row) {
    const double u = base::uniform(key, row, round, 0);
    times.emplace_back(-std::log1p(-u) / weights[row], static_cast<int64_t>(row));
  }
  std::sort(times.begin(), times.end());
  std::vector<int64_t> rows;
  for (const auto& [time, row] : times) rows.push_back(row);
  return rows;
}

}  // namespace

std::vector<int64_t> uncertain_rows(const AccuracyTracker& accuracy, int64_t num_prompts, uint64_t seed,
                                    uint64_t first_draw, size_t count) {
  GRPO_CHECK(num_prompts >= 1, "num_prompts ", num_prompts);
  const auto weights = weights_of(accuracy, num_prompts, key_of(seed, "uncertain, p", first_draw));
  const auto key = key_of(seed, "uncertain, rows", first_draw);
  std::vector<int64_t> rows;
  for (uint32_t round = 0; rows.size() < count; ++round) {
    const auto more = drawn_once(weights, key, round);
    rows.insert(rows.end(), more.begin(), more.end());
  }
  rows.resize(count);
  return rows;
}

}  // namespace grpo::trainer
