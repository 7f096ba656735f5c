#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "grpo/base/error.h"

namespace grpo::testing {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Largest absolute difference over all tensors. REQUIRES: the same names in the same order.
inline double max_difference(const NamedTensors& a, const NamedTensors& b) {
  GRPO_CHECK(a.size() == b.size(), a.size(), " tensors against ", b.size());
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    GRPO_CHECK(a[i].first == b[i].first, a[i].first, " against ", b[i].first);
    largest = std::max(largest, (a[i].second - b[i].second).abs().max().item<double>());
  }
  return largest;
}

}  // namespace grpo::testing
