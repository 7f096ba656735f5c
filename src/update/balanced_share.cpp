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
  auto groups = groups_of(sequences, all);
  std::stable_sort(groups.begin(), groups.end(), [&](const auto& a, const auto& b) {
    return work_of(sequences, a, model) > work_of(sequences, b, model);
  });
  std::vector<double> loads(static_cast<size_t>(ranks), 0.0);
  std::vector<size_t> share;
  for (const auto& group : groups) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += work_of(sequences, group, model);
    if (least - loads.begin() == rank) share.insert(share.end(), group.begin(), group.end());
  }
  std::sort(share.begin(), share.end());
  return share;
}

}  // namespace grpo::update
