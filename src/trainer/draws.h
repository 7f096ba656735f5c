#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// The draws that a step may ask, made when they are asked for: the step's prompts, and behind them as many fresh ones
/// as rollouts allow. Draws stay where they are.
class Draws {
 public:
  /// make: the step's draw of this number; called once for each, in rising order. prompts: how many the step asks in
  /// any case. most_rollouts: of all groups at their first size.
  Draws(std::function<Draw(size_t)> make, int64_t prompts, int64_t most_rollouts);

  /// The draw of this number, or null where the rollouts do not suffice.
  const Draw* at(size_t number);

 private:
  std::function<Draw(size_t)> make_;
  size_t prompts_;
  int64_t most_rollouts_;
  int64_t rollouts_ = 0;  // of draws_
  bool ended_ = false;
  std::deque<Draw> draws_;
};

}  // namespace grpo::trainer
