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

double weight_of(const AccuracyTracker& accuracy, const Prompt& prompt, const std::vector<data::TrainSet>& sets,
                 const base::RandomKey& key) {
  const double p = accuracy.sample(prompt.row, key);
  return std::max(p * (1.0 - p), kLeastWeight) * (sets.empty() ? 1.0 : sets.at(static_cast<size_t>(prompt.set)).weight);
}

// All prompts in the order in which they are drawn without replacement with these weights. That order is the same as
// that of independent exponential times whose rates are the weights.
std::vector<size_t> drawn_once(const std::vector<Prompt>& prompts, const std::vector<double>& weights,
                               const base::RandomKey& key, uint32_t round) {
  std::vector<std::pair<double, size_t>> times;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const double u = base::uniform(key, static_cast<uint64_t>(prompts[i].row), round, 0);
    times.emplace_back(-std::log1p(-u) / weights[i], i);
  }
  std::sort(times.begin(), times.end());
  std::vector<size_t> order;
  for (const auto& [time, i] : times) order.push_back(i);
  return order;
}

}  // namespace

std::vector<size_t> uncertain_prompts(const AccuracyTracker& accuracy, const std::vector<Prompt>& prompts,
                                      const std::vector<data::TrainSet>& sets, uint64_t seed, uint64_t first_draw,
                                      size_t count) {
  GRPO_CHECK(!prompts.empty(), "no prompt to draw");
  const auto of_p = key_of(seed, "uncertain, p", first_draw), of_order = key_of(seed, "uncertain, rows", first_draw);
  std::vector<double> weights;
  for (const Prompt& prompt : prompts) weights.push_back(weight_of(accuracy, prompt, sets, of_p));
  std::vector<size_t> drawn;
  for (uint32_t round = 0; drawn.size() < count; ++round) {
    const auto more = drawn_once(prompts, weights, of_order, round);
    drawn.insert(drawn.end(), more.begin(), more.end());
  }
  drawn.resize(count);
  return drawn;
}

}  // namespace grpo::trainer
