#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "grpo/algo/measure.h"
#include "grpo/kernels/download.h"
#include "grpo/update/update.h"

namespace grpo::update {

/// Collects what an update measures on this rank. The values of all micro-batches are added up on the model's device
/// (or the largest is kept, with Fold::kMax), so that the host reads them only once, at the end.
class UpdateSums {
 public:
  /// nothing: every figure that there can be, with its value for a batch without targets (measures_of_nothing()).
  UpdateSums(std::vector<algo::Measure> nothing, at::Device device);

  /// Adds the values of some of the figures, in any order. REQUIRES: all of them are in `nothing`.
  void add(const std::vector<algo::Measure>& measures);
  /// Drops what was added so far.
  void clear();

  /// Begins to copy the values to the host, after all work that the device has been given so far. Nothing may be added
  /// afterwards.
  void send();
  /// Waits for the values and returns them. Figures that are means are still sums over targets or groups. REQUIRES:
  /// send() has been called.
  std::vector<Figure> receive();

 private:
  std::vector<algo::Measure> nothing_;
  at::Tensor values_;  // [figures] fp64, in the order of nothing_
  std::optional<kernels::Download> on_the_way_;
};

/// The same figures as numbers. The measures' tensors have to be on the CPU, or the host would wait for the device.
std::vector<Figure> figures_of(const std::vector<algo::Measure>& measures);

}  // namespace grpo::update
