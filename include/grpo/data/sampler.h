#pragma once

#include <cstdint>
#include <vector>

#include "grpo/base/random.h"

namespace grpo::data {

/// How much of an epoch a set has.
struct SetShare {
  int64_t rows = 0;
  double weight = 1.0;

  /// Draws an epoch: round(weight * rows), at least 1 of a set that has rows.
  int64_t draws() const;
};

/// The order in which a run shows its problems, which are numbered set after set: epoch after epoch without end, each
/// epoch a permutation of its draws keyed by (seed, epoch), or file order. Of a set with n rows and weight w an epoch
/// draws m = round(w * n): the next m of the set's rows in an order that is keyed once (file order without shuffle) and
/// starts over at its end. So no row is drawn a second time before every other one of its set was drawn once, and with
/// weights of 1 an epoch shows every problem once. Nothing is consumed: the next draw number is the whole cursor.
/// Not thread-safe (it keeps the order of the epoch last asked for).
class PromptSampler {
 public:
  /// REQUIRES: some set has rows; weights are above 0.
  PromptSampler(std::vector<SetShare> sets, uint64_t seed, bool shuffle);
  /// One set of weight 1. REQUIRES: num_prompts >= 1.
  PromptSampler(int64_t num_prompts, uint64_t seed, bool shuffle);

  /// The problem of draw number `draw`, in [0, number of problems).
  int64_t row_of(uint64_t draw);

  /// Draws an epoch: the number of problems, where all weights are 1.
  int64_t epoch_length() const { return epoch_length_; }

 private:
  std::vector<int64_t> rows_of_epoch(uint64_t epoch) const;

  std::vector<SetShare> sets_;
  std::vector<std::vector<int64_t>> orders_;  // one a set: its rows in the order in which epochs take them
  int64_t epoch_length_ = 0;
  base::RandomKey key_;
  bool shuffle_;
  uint64_t epoch_ = 0;         // of rows_
  std::vector<int64_t> rows_;  // empty: none computed yet
};

/// floor(epochs * epoch_length / prompts_per_step): the steps of a run. A product that is whole up to rounding (0.1 *
/// 30) counts as whole.
int64_t num_steps(double epochs, int64_t epoch_length, int64_t prompts_per_step);

}  // namespace grpo::data
