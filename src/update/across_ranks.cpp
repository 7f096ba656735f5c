#include "update/across_ranks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "update/micro_batch.h"

namespace grpo::update {

std::vector<size_t> balanced_share(const std::vector<Sequence>& sequences, const models::ModelConfig& model,
                                   int64_t rank, int64_t ranks) {
  std::vector<size_t> all(sequences.size());
  std::iota(all.begin(), all.end(), size_t{0});
  if (ranks == 1) return all;
  std::vector<double> work;
  for (const Sequence& sequence : sequences) work.push_back(work_of(sequence, model));
  std::vector<size_t> order = all;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return work[a] > work[b]; });
  std::vector<double> loads(static_cast<size_t>(ranks), 0.0);
  std::vector<size_t> share;
  for (const size_t i : order) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += work[i];
    if (least - loads.begin() == rank) share.push_back(i);
  }
  std::sort(share.begin(), share.end());
  return share;
}

void reduce(UpdateStats& stats, dist::Communicator& communicator) {
  if (communicator.size() == 1) return;
  std::vector<double> own = {static_cast<double>(stats.tokens)};
  for (const Figure& figure : stats.figures) own.push_back(figure.value);
  auto sums = at::tensor(own, at::kDouble);
  auto maxima = sums.clone();
  communicator.all_reduce_sum(sums);
  communicator.all_reduce_max(maxima);
  stats.tokens = sums[0].item<int64_t>();
  for (size_t i = 0; i < stats.figures.size(); ++i) {
    const bool largest = stats.figures[i].fold == algo::Fold::kMax;
    stats.figures[i].value = (largest ? maxima : sums)[static_cast<int64_t>(i) + 1].item<double>();
  }
}

}  // namespace grpo::update
