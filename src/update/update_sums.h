#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "grpo/algo/measure.h"
#include "grpo/kernels/download.h"
#include "grpo/update/update.h"

namespace grpo::update {

/// Collects what an update measures. The values are added up on the model's device over all micro-batches, so that the
/// host reads them only once, at the end.
class UpdateSums {
 public:
  /// nothing: every figure there is, with the value it has on no target (measures_of_nothing).
  UpdateSums(std::vector<algo::Measure> nothing, at::Device device);

  /// Adds the values of some of the figures, in any order.
  void add(const std::vector<algo::Measure>& measures);
  /// Drops what was added so far.
  void clear();

  /// Begins to bring the values to the host, after all work that the device has been given so far. Nothing may be added
  /// after it.
  void send();
  /// Waits for the values and returns them. Figures that are means are still sums over targets.
  std::vector<Figure> receive();

 private:
  std::vector<algo::Measure> nothing_;
  at::Tensor values_;  // [figures] fp64, in the order of nothing_
  std::optional<kernels::Download> on_the_way_;
};

/// The values of measures whose tensors are on the host.
std::vector<Figure> figures_of(const std::vector<algo::Measure>& measures);

}  // namespace grpo::update
