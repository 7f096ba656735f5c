#pragma once

#include <cstdint>
#include <vector>

#include "grpo/algo/advantage.h"

namespace grpo::algo {

// What arXiv 2510.00977 proves, as numbers. p is the probability that a completion is right (it has reward 1 then, and
// 0 otherwise), and G is the size of a group.

/// E[A | r] of a rollout whose own reward r is 1 if `right` and else 0, over all that the other G - 1 rewards may be
/// (Prop. 4.1). It is exact: each number of right completions among the others is weighed with its probability.
/// REQUIRES: 0 <= p <= 1, G >= 1, and an advantage that does not look beyond the group.
double expected_advantage(const AdvantageConfig& config, double p, int64_t group_size, bool right);

/// The probability that all rewards of a group are equal, p^G + (1 - p)^G, so that it teaches nothing.
double tied_probability(double p, int64_t group_size);

/// The probability that at least one of `samples` completions of each round is right, where round k has probability
/// p[k] (Prop. 4.4: rounds of 2 between which the policy gets better find a right one at least as often as all of the
/// samples at once with p[0]).
double right_in_rounds(const std::vector<double>& p, int64_t samples);

/// The variance of a gradient estimate from Q groups of size G, of rloo's advantages. The estimate of one group is a
/// U-statistic of order 2 (arXiv 2603.01162): with s the score of a completion, its kernel is
/// (r_i - r_j) (s_i - s_j) / 2. By Hoeffding's decomposition
///   Q Var = between + 4 (G - 2) / (G (G - 1)) first + 2 / (G (G - 1)) second.
struct GroupVariance {
  double between = 0.0;  // variance of a prompt's true gradient over prompts
  double first = 0.0;    // variance of the kernel's mean given one of its two completions
  double second = 0.0;   // variance of the kernel itself, which is at least twice `first`

  /// Q Var at this group size. REQUIRES: G >= 2.
  double at(int64_t group_size) const;
};

/// The components, none of them negative, that fit measured values of Q Var best in relative least squares.
/// REQUIRES: as many group sizes as variances, at least 3 different ones, all variances above 0.
GroupVariance fit_group_variance(const std::vector<int64_t>& group_sizes, const std::vector<double>& variances);

}  // namespace grpo::algo
