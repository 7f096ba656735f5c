#include "update/across_ranks.h"

#include <ATen/ATen.h>

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
  auto sums =
      at::tensor({stats.loss, stats.entropy, stats.clip_fraction, stats.kl_sampler, static_cast<double>(stats.tokens)},
                 at::kDouble);
  auto maxima = at::tensor({stats.ratio_max}, at::kDouble);
  communicator.all_reduce_sum(sums);
  communicator.all_reduce_max(maxima);
  const double* values = sums.const_data_ptr<double>();
  stats.loss = values[0];
  stats.entropy = values[1];
  stats.clip_fraction = values[2];
  stats.kl_sampler = values[3];
  stats.tokens = static_cast<int64_t>(values[4]);
  stats.ratio_max = maxima.item<double>();
}

}  // namespace grpo::update
