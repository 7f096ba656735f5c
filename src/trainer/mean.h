#pragma once

#include <algorithm>
#include <vector>

namespace grpo::trainer {

/// The mean of these values, 0 for none. They are added up and then divided once. Where all are equal it is exactly
/// their value, which even that does not give: ten times 0.1 adds up to less than 1.
inline double mean_of(const std::vector<double>& values) {
  if (values.empty()) return 0.0;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  if (*least == *most) return *least;
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace grpo::trainer
