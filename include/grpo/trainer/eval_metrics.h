#pragma once

#include <cstdint>
#include <vector>

namespace grpo::trainer {

/// The chance that k of n samples drawn without replacement hold a right one, c of the n being right:
/// 1 - C(n - c, k) / C(n, k) (Chen et al., arXiv 2107.03374). REQUIRES 1 <= k <= n, 0 <= c <= n.
double pass_at_k(int64_t n, int64_t c, int64_t k);

/// The majority vote on one problem. `answer[i]` is the class of equivalent answers that answer i belongs to (-1: no
/// answer), `right[i]` its verdict. Returns the share of right ones among the classes that are most frequent; a problem
/// without any answer scores 0.
double maj_at_k(const std::vector<int64_t>& answer, const std::vector<bool>& right);

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// The 95 % percentile bootstrap interval of the mean over problems. The resampling is keyed, so that the same input
/// gives the same interval.
Interval bootstrap_mean(const std::vector<double>& per_problem, uint64_t seed, int resamples = 2000);

}  // namespace grpo::trainer
