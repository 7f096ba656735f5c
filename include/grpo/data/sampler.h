#pragma once

#include <cstdint>
#include <vector>

#include "grpo/base/random.h"

namespace grpo::data {

/// The order in which a run shows its N problems: epoch after epoch without end, each epoch a permutation of all of
/// them keyed by (seed, epoch), or file order. Nothing is consumed: the next draw number is the whole cursor.
/// Not thread-safe (it keeps the permutation of the epoch last asked for).
class PromptSampler {
 public:
  /// REQUIRES: num_prompts >= 1.
  PromptSampler(int64_t num_prompts, uint64_t seed, bool shuffle);

  /// The problem of draw number `draw`, in [0, num_prompts).
  int64_t row_of(uint64_t draw);

 private:
  int64_t num_prompts_;
  base::RandomKey key_;
  bool shuffle_;
  uint64_t epoch_ = 0;          // of order_
  std::vector<int64_t> order_;  // empty: none computed yet
};

/// floor(epochs * num_prompts / prompts_per_step): the steps of a run. A product that is whole up to rounding (0.1 *
/// 30) counts as whole.
int64_t num_steps(double epochs, int64_t num_prompts, int64_t prompts_per_step);

}  // namespace grpo::data
