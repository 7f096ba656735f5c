#include "update/balanced_share.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "update/families.h"
#include "update/micro_batch.h"

namespace grpo::update {
namespace {

struct Division {
  std::vector<std::vector<size_t>> shares;  // the indices of each rank
  double most = 0.0;                        // the work of the rank that has most
};

Division hand_out(const std::vector<Sequence>& sequences, std::vector<Family> families,
                  const models::ModelConfig& model, int64_t ranks) {
  std::stable_sort(families.begin(), families.end(), [&](const Family& a, const Family& b) {
    return work_of(sequences, a, model) > work_of(sequences, b, model);
  });
  std::vector<double> loads(static_cast<size_t>(ranks), 0.0);
  Division division{.shares = std::vector<std::vector<size_t>>(static_cast<size_t>(ranks))};
  for (const Family& family : families) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += work_of(sequences, family, model);
    auto& share = division.shares[static_cast<size_t>(least - loads.begin())];
    share.insert(share.end(), family.sequences.begin(), family.sequences.end());
  }
  division.most = *std::max_element(loads.begin(), loads.end());
  return division;
}

}  // namespace

std::vector<size_t> balanced_share(const std::vector<Sequence>& sequences, const models::ModelConfig& model,
                                   SharePrompts share, int64_t rank, int64_t ranks) {
  std::vector<size_t> all(sequences.size());
  std::iota(all.begin(), all.end(), size_t{0});
  if (ranks == 1) return all;
  const auto families = families_of(sequences, all, share);
  Division best = hand_out(sequences, families, model, ranks);
  size_t largest = 1;  // the groups of the largest family
  for (const Family& family : families) largest = std::max(largest, groups_of(sequences, family.sequences).size());
  for (size_t parts = 2; parts < 2 * largest; parts *= 2) {
    std::vector<Family> divided;
    for (const Family& family : families) {
      for (Family& part : divide(sequences, family, parts, share)) divided.push_back(std::move(part));
    }
    Division next = hand_out(sequences, std::move(divided), model, ranks);
    if (next.most < best.most) best = std::move(next);
  }
  auto& own = best.shares[static_cast<size_t>(rank)];
  std::sort(own.begin(), own.end());
  return own;
}

}  // namespace grpo::update
