#pragma once

#include <cstdint>
#include <vector>

namespace grpo::trainer {

/// The chance that k of n samples drawn without replacement hold a right one, c of the n being right:
/// 1 - C(n - c, k) / C(n, k) (Chen et al., arXiv 2107.03374). REQUIRES 1 <= k <= n, 0 <= c <= n.
double pass_at_k(int64_t n, int64_t c, int64_t k);

/// Answers of one problem: `answer[i]` is an equivalence class (-1: no answer), `right[i]` the verdict.
/// The share of the tied most frequent classes that are right; a problem without any answer scores 0.
double maj_at_k(const std::vector<int64_t>& answer, const std::vector<bool>& right);

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// 95 % percentile bootstrap of the mean over problems, with keyed resampling (same input, same interval).
Interval bootstrap_mean(const std::vector<double>& per_problem, uint64_t seed, int resamples = 2000);

}  // namespace grpo::trainer
