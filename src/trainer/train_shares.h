#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "grpo/data/sampler.h"
#include "grpo/data/train_set.h"

namespace grpo::trainer {

/// How the problems or prompts that are left of data.train (`items`, which know their set) share an epoch. Without
/// sets, as where a plan assumes problems, they are one set.
template <typename Item>
std::vector<data::SetShare> train_shares(const std::vector<data::TrainSet>& sets, const std::vector<Item>& items) {
  std::vector<data::SetShare> shares(std::max<size_t>(sets.size(), 1));
  for (size_t s = 0; s < sets.size(); ++s) shares[s].weight = sets[s].weight;
  for (const Item& item : items) ++shares.at(static_cast<size_t>(item.set)).rows;
  return shares;
}

/// Draws an epoch: the number of items, where all weights are 1.
template <typename Item>
int64_t epoch_length(const std::vector<data::TrainSet>& sets, const std::vector<Item>& items) {
  int64_t draws = 0;
  for (const data::SetShare& share : train_shares(sets, items)) draws += share.draws();
  return draws;
}

}  // namespace grpo::trainer
