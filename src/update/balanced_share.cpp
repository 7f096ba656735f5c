#include "update/balanced_share.h"

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

}  // namespace grpo::update
