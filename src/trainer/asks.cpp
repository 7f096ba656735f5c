#include "trainer/asks.h"

#include <utility>

#include "grpo/base/error.h"
#include "trainer/group_sizes.h"

namespace grpo::trainer {

Asks::Asks(const RolloutConfig& config, std::vector<int64_t> sizes, bool by_rounds, TakeDraw take_draw)
    : config_(config),
      sizes_(std::move(sizes)),
      by_rounds_(by_rounds),
      take_draw_(std::move(take_draw)),
      next_draw_(static_cast<size_t>(config.prompts_per_step)),
      scarce_(most_together(config) < config.prompts_per_step * largest_size(config)),
      rollouts_(config.prompts_per_step * first_size(config)) {
  GRPO_CHECK(sizes_.size() >= next_draw_, sizes_.size(), " draws for ", next_draw_, " prompts");
}

std::optional<Ask> Asks::fresh(size_t draw) const {
  if (draw >= sizes_.size()) return {};
  return of(draw);
}

std::optional<Ask> Asks::extension(const Tied& tied) const {
  const int64_t size = next_size(config_, tied.size);
  if (size == 0) return {};
  return Ask{.draw = tied.draw, .first_sample = tied.size, .count = size - tied.size};
}

std::optional<Ask> Asks::after(const Tied& tied) {
  if (!at_once()) return {};
  if (extends()) return extension(tied);
  return fresh(take_draw_ ? take_draw_() : next_draw_++);
}

std::vector<Ask> Asks::after_round(const std::vector<Tied>& tied) {
  std::vector<Ask> asks;
  if (!by_rounds()) return asks;
  for (const Tied& group : tied) {
    const auto ask = extends() ? extension(group) : fresh(next_draw_++);
    if (!ask) continue;
    if (extends() && rollouts_ + ask->count > most_together(config_)) break;
    rollouts_ += ask->count;
    asks.push_back(*ask);
  }
  return asks;
}

}  // namespace grpo::trainer
