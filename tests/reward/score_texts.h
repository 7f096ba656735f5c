#pragma once

#include <string>
#include <vector>

#include "grpo/reward/reward.h"

namespace grpo::reward {

/// The scores of completions with these texts, samples 0, 1, ... of a problem p7 whose gold answer is g.
inline std::vector<Score> score_texts(const RewardFunction& reward, const std::vector<std::string>& texts) {
  const std::vector<std::string> golds = {"g"};
  std::vector<Item> items;
  for (const auto& text : texts)
    items.push_back({.problem = "p7", .golds = golds, .sample = static_cast<int64_t>(items.size()), .text = text});
  return reward.score(items);
}

}  // namespace grpo::reward
