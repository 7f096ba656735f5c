#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "grpo/algo/measure.h"
#include "grpo/kernels/download.h"
#include "grpo/update/update.h"

namespace grpo::update {

/// What an update measures, folded on the model's device over all its micro-batches: the host reads it once, at the
/// end.
class UpdateSums {
 public:
  /// nothing: every figure there is, as measured on no target at all (measures_of_nothing).
  UpdateSums(std::vector<algo::Measure> nothing, at::Device device);

  /// Values of figures there are, in any order.
  void add(const std::vector<algo::Measure>& measures);
  /// Drops what was added.
  void clear();

  /// Begins to bring the values to the host, behind what the device has been given so far; nothing is added after it.
  void send();
  /// Waits for them. Means are sums over targets still.
  std::vector<Figure> receive();

 private:
  std::vector<algo::Measure> nothing_;
  at::Tensor values_;  // [figures] fp64, in the order of nothing_
  std::optional<kernels::Download> on_the_way_;
};

/// The values of measures that are on the host.
std::vector<Figure> figures_of(const std::vector<algo::Measure>& measures);

}  // namespace grpo::update
