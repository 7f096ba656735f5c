#pragma once

#include <cstdint>
#include <vector>

namespace grpo::kernels {

/// An id that may stay in a row's distribution.
struct Candidate {
  int64_t id;
  uint32_t key;  // orders logits as an unsigned number
  float mass;    // exp((logit - max) / temperature)
};

/// Top-k and top-p of one row. Blocks of 64 ids whose largest value is too small to stay are skipped; the other ids are
/// counted in buckets by the digits of their logits, so that nothing is sorted. The memory is kept from row to row.
class Truncation {
 public:
  /// The ids that stay, in id order: the k largest logits, equal ones by lower id (top_k 0: all), of those the smallest
  /// set of largest ones whose masses reach the share top_p (1: all; at least one id). total: sum of all masses.
  const std::vector<Candidate>& keep(const float* logits, const float* masses, int64_t n, double total, int64_t top_k,
                                     double top_p);

 private:
  struct Amount {
    int64_t count = 0;
    double mass = 0.0;
    void operator+=(const Amount& other) {
      count += other.count;
      mass += other.mass;
    }
  };
  // The number and the mass that the kept ids must reach together.
  struct Goal {
    int64_t count;
    double mass;
    bool reached(const Amount& amount) const { return amount.count >= count && amount.mass >= mass; }
  };

  void gather(const float* values, float bound, const float* logits, const float* masses, int64_t n);
  float top_k_bound(const float* logits, int64_t n, int64_t k);
  void cut(const Goal& goal);
  uint32_t cut_bucket(const Goal& goal, Amount& above) const;

  std::vector<float> maxima_;  // the largest value of each block of 64
  std::vector<Candidate> kept_;
  std::vector<uint32_t> undecided_;  // indices into kept_
  Amount buckets_[256];
};

}  // namespace grpo::kernels
