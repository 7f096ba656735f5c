#pragma once

#include <cstdint>
#include <vector>

namespace grpo::trainer {

/// The chance that k samples, drawn without replacement from n of which c are right, hold a right one:
/// 1 - C(n - c, k) / C(n, k) (Chen et al., arXiv 2107.03374). REQUIRES 1 <= k <= n, 0 <= c <= n.
double pass_at_k(int64_t n, int64_t c, int64_t k);

/// The majority vote on one problem. `answer[i]` is the class of equivalent answers that answer i belongs to (-1: no
/// answer), and `right[i]` its verdict, which is the same within a class. Returns 1 if the most frequent class is
/// right, else 0; of several that are equally frequent, the share that is right; and 0 for a problem without any
/// answer.
double maj_at_k(const std::vector<int64_t>& answer, const std::vector<bool>& right);

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// The 95 % percentile bootstrap interval of the mean over problems; {0, 0} without a problem. The resampling is keyed
/// by `seed`, so that the same input gives the same interval.
Interval bootstrap_mean(const std::vector<double>& per_problem, uint64_t seed, int resamples = 2000);

}  // namespace grpo::trainer
