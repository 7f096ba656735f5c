#include "trainer/sum_over_ranks.h"

#include <algorithm>
#include <functional>

namespace grpo::trainer {

std::vector<double> sum_over_ranks(const std::vector<double>& mine, dist::Communicator& communicator) {
  std::vector<double> all(mine.size(), 0.0);
  for (const auto& theirs : communicator.all_gather(mine))
    std::transform(all.begin(), all.end(), theirs.begin(), all.begin(), std::plus<>());
  return all;
}

}  // namespace grpo::trainer
