#include "trainer/group_sizes.h"

#include <algorithm>

#include "grpo/base/error.h"

namespace grpo::trainer {
namespace {

void refuse_few(const char* key, int64_t most, const RolloutConfig& config) {
  const int64_t least = config.prompts_per_step * first_size(config);
  if (most >= least) return;
  throw base::ConfigError(base::concat(key, " ", most, " is less than the ", least, " rollouts of ",
                                       config.prompts_per_step, " prompts (rollout.prompts_per_step) with groups of ",
                                       first_size(config)));
}

void validate_choices(const std::vector<int64_t>& choices) {
  const bool rise = std::adjacent_find(choices.begin(), choices.end(), std::greater_equal<>()) == choices.end();
  if (choices.empty() || choices.front() < 2 || !rise) {
    throw base::ConfigError(
        "rollout.adaptive.choices: expected sizes that rise and are at least 2, as [2, 4, 8, 16]; a group of one "
        "cannot be mixed");
  }
}

}  // namespace

int64_t first_size(const RolloutConfig& config) {
  return config.adaptive.mode == AdaptiveMode::kOff ? config.group_size : config.adaptive.choices.front();
}

int64_t largest_size(const RolloutConfig& config) {
  return config.adaptive.mode == AdaptiveMode::kOff ? config.group_size : config.adaptive.choices.back();
}

int64_t most_rollouts(const RolloutConfig& config) {
  if (config.resample.max_rollouts) return *config.resample.max_rollouts;
  return most_together(config);
}

int64_t most_together(const RolloutConfig& config) {
  const int64_t all = config.prompts_per_step * largest_size(config);
  const bool bounded = config.adaptive.mode != AdaptiveMode::kOff && config.adaptive.max_rollouts;
  return bounded ? std::min(all, *config.adaptive.max_rollouts) : all;
}

int64_t next_size(const RolloutConfig& config, int64_t size) {
  if (config.adaptive.mode != AdaptiveMode::kExtend) return 0;
  const auto& choices = config.adaptive.choices;
  const auto next = std::upper_bound(choices.begin(), choices.end(), size);
  return next == choices.end() ? 0 : *next;
}

int64_t first_compared(const RolloutConfig& config, int64_t size) {
  if (config.adaptive.mode != AdaptiveMode::kExtend || config.adaptive.advantage_from == AdvantageFrom::kAll) return 0;
  const auto& choices = config.adaptive.choices;
  const auto now = std::lower_bound(choices.begin(), choices.end(), size);
  return now == choices.begin() ? 0 : *(now - 1);
}

int64_t GroupSizes::wanted(int64_t row) const {
  if (config_.adaptive.mode != AdaptiveMode::kPredict) return first_size(config_);
  const auto& choices = config_.adaptive.choices;
  if (!accuracy_.knows(row)) return choices.front();
  const auto mixed = [&](int64_t size) { return 1.0 - accuracy_.dead_probability(row, size); };
  const auto found = std::find_if(choices.begin(), choices.end(),
                                  [&](int64_t size) { return mixed(size) >= config_.adaptive.min_mixed; });
  return found == choices.end() ? choices.back() : *found;
}

int64_t GroupSizes::next(int64_t row) {
  int64_t size = wanted(row);
  if (config_.adaptive.mode == AdaptiveMode::kPredict && config_.adaptive.max_rollouts) {
    const auto& choices = config_.adaptive.choices;
    const int64_t behind = std::max<int64_t>(config_.prompts_per_step - prompts_ - 1, 0);
    const int64_t room = *config_.adaptive.max_rollouts - rollouts_ - behind * choices.front();
    const auto first_too_large = std::upper_bound(choices.begin() + 1, choices.end(), room);
    size = std::min(size, *(first_too_large - 1));
  }
  ++prompts_;
  rollouts_ += size;
  return size;
}

void validate_groups(const RolloutConfig& config) {
  const bool adaptive = config.adaptive.mode != AdaptiveMode::kOff;
  if (adaptive) validate_choices(config.adaptive.choices);
  if (adaptive && config.adaptive.max_rollouts)
    refuse_few("rollout.adaptive.max_rollouts", *config.adaptive.max_rollouts, config);
  if (!config.resample.max_rollouts) return;
  refuse_few("rollout.resample.max_rollouts", *config.resample.max_rollouts, config);
  if (config.adaptive.mode == AdaptiveMode::kExtend) {
    throw base::ConfigError(
        "rollout.resample.max_rollouts does not go with rollout.adaptive.mode: extend: a tied group is either extended "
        "or replaced; choose one");
  }
  if (!adaptive && config.group_size == 1) {
    throw base::ConfigError(
        "rollout.resample.max_rollouts does not go with rollout.group_size 1: a group of one is never tied, because it "
        "is compared with its prompt's earlier rewards");
  }
}

}  // namespace grpo::trainer
