#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// The draws that a step may ask: first the prompts that it asks in any case, then as many fresh ones as its bound on
/// rollouts allows. A draw is made when it is first asked for, and pointers to draws stay valid.
class Draws {
 public:
  /// make: returns the step's draw of a number, from 0; it is called once for each, in rising order. prompts: how many
  /// draws the step asks in any case. most_rollouts: the bound on the sum of the first sizes of all groups.
  Draws(std::function<Draw(size_t)> make, int64_t prompts, int64_t most_rollouts);

  /// The draw of this number, or null if it would exceed the bound on rollouts.
  const Draw* at(size_t number);

 private:
  std::function<Draw(size_t)> make_;
  size_t prompts_;
  int64_t most_rollouts_;
  int64_t rollouts_ = 0;  // the sum of the sizes of draws_
  bool ended_ = false;    // whether a draw has exceeded the bound; there is none after it
  std::deque<Draw> draws_;
};

}  // namespace grpo::trainer
