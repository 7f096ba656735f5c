#include "kernels/truncation.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

#include "kernels/cpu/dispatch.h"

namespace grpo::kernels {
namespace {

// An unsigned number that orders logits: larger logits have larger keys, and -0 has that of 0.
uint32_t key_of(float logit) {
  const auto bits = std::bit_cast<uint32_t>(logit + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

}  // namespace

// Collects the ids whose value is at least `bound`.
void Truncation::gather(const float* values, float bound, const float* logits, const float* masses, int64_t n) {
  kept_.clear();
  for (size_t block = 0; block < maxima_.size(); ++block) {
    if (maxima_[block] < bound) continue;
    const int64_t start = static_cast<int64_t>(block) * cpu::kMaxBlock;
    for (int64_t id = start; id < std::min(n, start + cpu::kMaxBlock); ++id) {
      if (values[id] >= bound) kept_.push_back({.id = id, .key = key_of(logits[id]), .mass = masses[id]});
    }
  }
}

// A bound that at least k ids reach: the k-th largest maximum of a block, since each of k blocks has such an id.
float Truncation::top_k_bound(const float* logits, int64_t n, int64_t k) {
  cpu::functions().block_max(logits, n, maxima_.data());
  if (k > static_cast<int64_t>(maxima_.size())) return -std::numeric_limits<float>::infinity();
  auto sorted = maxima_;
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  return sorted[static_cast<size_t>(k - 1)];
}

// Goes through the buckets from the largest keys down, and returns the one with which the goal is reached. `above`
// grows by the buckets before it. Where rounding leaves the goal out of reach it is the last bucket that holds an id.
uint32_t Truncation::cut_bucket(const Goal& goal, Amount& above) const {
  Amount passed;
  uint32_t chosen = 0;
  for (uint32_t b = 256; b-- > 0;) {
    if (buckets_[b].count == 0) continue;
    above += passed;
    passed = buckets_[b];
    chosen = b;
    Amount with = above;
    with += passed;
    if (goal.reached(with)) break;
  }
  return chosen;
}

// Keeps the largest candidates that together reach the goal. Each round looks at one more digit of the keys and decides
// all candidates whose digit differs from that of the key at which the goal is reached.
void Truncation::cut(const Goal& goal) {
  undecided_.resize(kept_.size());
  for (uint32_t i = 0; i < undecided_.size(); ++i) undecided_[i] = i;
  Amount above;
  uint32_t key = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const auto digit = [&](uint32_t i) { return kept_[i].key >> shift & 255u; };
    std::fill(std::begin(buckets_), std::end(buckets_), Amount{});
    for (const uint32_t i : undecided_) buckets_[digit(i)] += {1, static_cast<double>(kept_[i].mass)};
    const uint32_t bucket = cut_bucket(goal, above);
    key = key << 8 | bucket;
    std::erase_if(undecided_, [&](uint32_t i) { return digit(i) != bucket; });
  }
  // The candidates that are still undecided have the same key; of them the lowest ids stay.
  std::erase_if(kept_, [&](const Candidate& candidate) {
    if (candidate.key != key) return candidate.key < key;
    if (goal.reached(above)) return true;
    above += {1, static_cast<double>(candidate.mass)};
    return false;
  });
}

const std::vector<Candidate>& Truncation::keep(const float* logits, const float* masses, int64_t n, double total,
                                               int64_t top_k, double top_p) {
  maxima_.resize(static_cast<size_t>((n + cpu::kMaxBlock - 1) / cpu::kMaxBlock));
  const bool limited = top_k > 0 && top_k < n;
  if (limited) {
    gather(logits, top_k_bound(logits, n, top_k), logits, masses, n);
    cut({.count = top_k, .mass = 0.0});
    total = 0.0;
    for (const Candidate& candidate : kept_) total += static_cast<double>(candidate.mass);
  } else {
    // All ids whose mass is below this bound have together less than the share 1 - top_p that may be left out.
    cpu::functions().block_max(masses, n, maxima_.data());
    gather(masses, static_cast<float>(0.99 * (1.0 - top_p) * total / static_cast<double>(n)), logits, masses, n);
  }
  if (top_p < 1.0) cut({.count = 1, .mass = top_p * total});
  return kept_;
}

}  // namespace grpo::kernels
