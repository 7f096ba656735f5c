#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "grpo/data/sampler.h"
#include "grpo/data/train_set.h"

namespace grpo::trainer {

/// How the sets of data.train share an epoch: the weight of each, and how many problems or prompts are left of it
/// (`items`, each of which knows its set). Without sets, as where a plan assumes problems, all items are one set.
template <typename Item>
std::vector<data::SetShare> train_shares(const std::vector<data::TrainSet>& sets, const std::vector<Item>& items) {
  std::vector<data::SetShare> shares(std::max<size_t>(sets.size(), 1));
  for (size_t s = 0; s < sets.size(); ++s) shares[s].weight = sets[s].weight;
  for (const Item& item : items) ++shares.at(static_cast<size_t>(item.set)).rows;
  return shares;
}

/// The number of draws in an epoch. Where all weights are 1 it is the number of items.
template <typename Item>
int64_t epoch_length(const std::vector<data::TrainSet>& sets, const std::vector<Item>& items) {
  int64_t draws = 0;
  for (const data::SetShare& share : train_shares(sets, items)) draws += share.draws();
  return draws;
}

}  // namespace grpo::trainer
