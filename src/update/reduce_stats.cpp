#include "update/reduce_stats.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

namespace grpo::update {

void reduce(UpdateStats& stats, dist::Communicator& communicator) {
  if (communicator.size() == 1) return;
  std::vector<double> own = {static_cast<double>(stats.tokens), static_cast<double>(stats.groups)};
  for (const Figure& figure : stats.figures) own.push_back(figure.value);
  auto sums = at::tensor(own, at::kDouble);
  auto maxima = sums.clone();
  communicator.all_reduce_sum(sums);
  communicator.all_reduce_max(maxima);
  stats.tokens = sums[0].item<int64_t>();
  stats.groups = sums[1].item<int64_t>();
  for (size_t i = 0; i < stats.figures.size(); ++i) {
    const bool largest = stats.figures[i].fold == algo::Fold::kMax;
    stats.figures[i].value = (largest ? maxima : sums)[static_cast<int64_t>(i) + 2].item<double>();
  }
}

}  // namespace grpo::update
