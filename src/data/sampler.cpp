#include "grpo/data/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "grpo/base/error.h"

namespace grpo::data {

int64_t SetShare::draws() const {
  return rows == 0 ? 0 : std::max<int64_t>(1, std::llround(weight * static_cast<double>(rows)));
}

PromptSampler::PromptSampler(std::vector<SetShare> sets, uint64_t seed, bool shuffle)
    : sets_(std::move(sets)), key_{.seed = seed, .stream = base::stream_id("shuffle")}, shuffle_(shuffle) {
  const base::RandomKey set_key{.seed = seed, .stream = base::stream_id("set order")};
  int64_t first = 0;
  for (const SetShare& set : sets_) {
    std::vector<int64_t> order(static_cast<size_t>(set.rows));
    std::iota(order.begin(), order.end(), int64_t{0});
    if (shuffle) order = base::permutation(set_key, orders_.size(), set.rows);
    for (int64_t& row : order) row += first;
    orders_.push_back(std::move(order));
    first += set.rows;
    epoch_length_ += set.draws();
  }
  GRPO_CHECK(epoch_length_ >= 1, "num_prompts ", first);
}

PromptSampler::PromptSampler(int64_t num_prompts, uint64_t seed, bool shuffle)
    : PromptSampler(std::vector<SetShare>{{.rows = num_prompts}}, seed, shuffle) {}

int64_t PromptSampler::row_of(uint64_t draw) {
  const auto length = static_cast<uint64_t>(epoch_length_);
  const uint64_t epoch = draw / length;
  if (rows_.empty() || epoch != epoch_) {
    rows_ = rows_of_epoch(epoch);
    epoch_ = epoch;
  }
  return rows_[draw % length];
}

std::vector<int64_t> PromptSampler::rows_of_epoch(uint64_t epoch) const {
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(epoch_length_));
  for (size_t s = 0; s < sets_.size(); ++s) {
    const auto begin = static_cast<std::ptrdiff_t>(rows.size());
    const auto draws = static_cast<uint64_t>(sets_[s].draws());
    for (uint64_t i = epoch * draws; i < (epoch + 1) * draws; ++i) rows.push_back(orders_[s][i % orders_[s].size()]);
    if (shuffle_) std::sort(rows.begin() + begin, rows.end());  // only `order` below decides the order
  }
  if (!shuffle_) return rows;
  const auto order = base::permutation(key_, epoch, epoch_length_);
  std::vector<int64_t> shuffled;
  shuffled.reserve(rows.size());
  for (const int64_t place : order) shuffled.push_back(rows[static_cast<size_t>(place)]);
  return shuffled;
}

int64_t num_steps(double epochs, int64_t epoch_length, int64_t prompts_per_step) {
  GRPO_CHECK(epochs >= 0 && epoch_length >= 0 && prompts_per_step >= 1, epochs, " ", epoch_length, " ",
             prompts_per_step);
  const double steps = epochs * static_cast<double>(epoch_length) / static_cast<double>(prompts_per_step);
  return static_cast<int64_t>(std::floor(steps * (1 + 1e-12) + 1e-9));
}

}  // namespace grpo::data
