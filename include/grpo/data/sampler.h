#pragma once

#include <cstdint>
#include <vector>

#include "grpo/base/random.h"

namespace grpo::data {

/// How many rows a set has and how often an epoch shows each.
struct SetShare {
  int64_t rows = 0;
  double weight = 1.0;

  /// Draws in each epoch: round(weight * rows), but at least 1 for a set that has rows.
  int64_t draws() const;
};

/// The order in which a run shows its problems. Problems are numbered set after set. Epoch follows epoch without end;
/// each shows its draws in an order keyed by (seed, epoch) or, without shuffle, in file order.
/// From a set with n rows and weight w an epoch takes m = round(w * n) rows: the next m rows of a fixed order of the
/// set (keyed by the seed, or file order), which starts over at its end. So no row is drawn twice before every row of
/// its set was drawn once, and with weight 1 an epoch shows every row once.
/// Nothing is consumed, so the number of the next draw is the whole state that a checkpoint has to keep. Not
/// thread-safe: it caches the order of the epoch that was asked for last.
class PromptSampler {
 public:
  /// REQUIRES: at least one set has rows; weights are above 0.
  PromptSampler(std::vector<SetShare> sets, uint64_t seed, bool shuffle);
  /// One set of weight 1. REQUIRES: num_prompts >= 1.
  PromptSampler(int64_t num_prompts, uint64_t seed, bool shuffle);

  /// The problem of draw number `draw`, in [0, number of problems).
  int64_t row_of(uint64_t draw);

  /// Draws in each epoch. With weights of 1 this is the number of problems.
  int64_t epoch_length() const { return epoch_length_; }

 private:
  std::vector<int64_t> rows_of_epoch(uint64_t epoch) const;

  std::vector<SetShare> sets_;
  std::vector<std::vector<int64_t>> orders_;  // for each set its rows in the order in which epochs take them
  int64_t epoch_length_ = 0;
  base::RandomKey key_;
  bool shuffle_;
  uint64_t epoch_ = 0;         // the epoch that rows_ is for
  std::vector<int64_t> rows_;  // the rows of that epoch in drawing order; empty until first used
};

/// The steps of a run: floor(epochs * epoch_length / prompts_per_step), where a quotient that is whole up to rounding
/// (as for 0.1 * 30 / 3) counts as whole.
int64_t num_steps(double epochs, int64_t epoch_length, int64_t prompts_per_step);

}  // namespace grpo::data
