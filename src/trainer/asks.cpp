#include "trainer/asks.h"

#include <utility>

#include "trainer/group_sizes.h"

namespace grpo::trainer {

Asks::Asks(const RolloutConfig& config, SizeOf size_of, bool by_rounds, TakeDraw take_draw)
    : config_(config),
      size_of_(std::move(size_of)),
      by_rounds_(by_rounds),
      take_draw_(std::move(take_draw)),
      next_draw_(static_cast<size_t>(config.prompts_per_step)),
      scarce_(most_together(config) < config.prompts_per_step * largest_size(config)),
      rollouts_(config.prompts_per_step * first_size(config)) {}

std::optional<Ask> Asks::of(size_t draw) const {
  const auto size = size_of_(draw);
  if (!size) return {};
  return Ask{.draw = draw, .first_sample = 0, .count = *size};
}

std::optional<Ask> Asks::extension(const Tied& tied) const {
  const int64_t size = next_size(config_, tied.size);
  if (size == 0) return {};
  return Ask{.draw = tied.draw, .first_sample = tied.size, .count = size - tied.size};
}

std::optional<Ask> Asks::after(const Tied& tied) {
  if (!at_once()) return {};
  if (extends()) return extension(tied);
  return of(take_draw_ ? take_draw_() : next_draw_++);
}

std::vector<Ask> Asks::after_round(const std::vector<Tied>& tied) {
  std::vector<Ask> asks;
  if (!by_rounds()) return asks;
  for (const Tied& group : tied) {
    const auto ask = extends() ? extension(group) : of(next_draw_++);
    if (!ask) continue;
    if (extends() && rollouts_ + ask->count > most_together(config_)) break;
    rollouts_ += ask->count;
    asks.push_back(*ask);
  }
  return asks;
}

}  // namespace grpo::trainer
