#include "grpo/algo/theory.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "grpo/base/error.h"

namespace grpo::algo {
namespace {

// The probability of k successes in n trials.
double binomial(int64_t n, int64_t k, double p) {
  if (p == 0.0 || p == 1.0) return k == (p == 0.0 ? 0 : n) ? 1.0 : 0.0;
  const auto nd = static_cast<double>(n), kd = static_cast<double>(k);
  const double choices = std::lgamma(nd + 1.0) - std::lgamma(kd + 1.0) - std::lgamma(nd - kd + 1.0);
  return std::exp(choices + kd * std::log(p) + (nd - kd) * std::log1p(-p));
}

// The advantage of the first rollout of a group in which `others` of the rest are right.
double advantage_of(const AdvantageConfig& config, int64_t group_size, bool right, int64_t others) {
  std::vector<double> rewards(static_cast<size_t>(group_size), 0.0);
  rewards[0] = right ? 1.0 : 0.0;
  std::fill_n(rewards.begin() + 1, others, 1.0);
  return group_advantage(at::tensor(rewards, at::kDouble), {0, group_size}, config).const_data_ptr<double>()[0];
}

using Components = std::array<double, 3>;

Components factors(int64_t group_size) {
  const auto g = static_cast<double>(group_size);
  return {1.0, 4.0 * (g - 2.0) / (g * (g - 1.0)), 2.0 / (g * (g - 1.0))};
}

// The least-squares solution of row * x = 1 with the components in `used`, by the normal equations. The others are 0.
Components solve(const std::vector<Components>& rows, const std::array<bool, 3>& used) {
  std::array<std::array<double, 4>, 3> m{};
  for (size_t i = 0; i < 3; ++i) {
    if (!used[i]) m[i][i] = 1.0;
    for (const auto& row : rows) {
      for (size_t j = 0; used[i] && j < 3; ++j) m[i][j] += used[j] ? row[i] * row[j] : 0.0;
      if (used[i]) m[i][3] += row[i];
    }
  }
  for (size_t i = 0; i < 3; ++i) {  // the matrix is symmetric and positive, so no pivot is needed
    for (size_t k = i + 1; k < 3; ++k) {
      const double factor = m[k][i] / m[i][i];
      for (size_t j = i; j < 4; ++j) m[k][j] -= factor * m[i][j];
    }
  }
  Components x{};
  for (size_t i = 3; i-- > 0;) {
    x[i] = m[i][3];
    for (size_t j = i + 1; j < 3; ++j) x[i] -= m[i][j] * x[j];
    x[i] /= m[i][i];
  }
  return x;
}

double error_of(const std::vector<Components>& rows, const Components& x) {
  double sum = 0.0;
  for (const auto& row : rows) {
    const double left = 1.0 - row[0] * x[0] - row[1] * x[1] - row[2] * x[2];
    sum += left * left;
  }
  return sum;
}

}  // namespace

double expected_advantage(const AdvantageConfig& config, double p, int64_t group_size, bool right) {
  GRPO_CHECK(!looks_beyond_group(config.kind), "an advantage that depends on the step");
  GRPO_CHECK(p >= 0.0 && p <= 1.0 && group_size >= 1, "p ", p, ", group size ", group_size);
  double expected = 0.0;
  for (int64_t others = 0; others < group_size; ++others)
    expected += binomial(group_size - 1, others, p) * advantage_of(config, group_size, right, others);
  return expected;
}

double tied_probability(double p, int64_t group_size) {
  const auto g = static_cast<double>(group_size);
  return std::pow(p, g) + std::pow(1.0 - p, g);
}

double right_in_rounds(const std::vector<double>& p, int64_t samples) {
  double none = 1.0;
  for (const double one : p) none *= std::pow(1.0 - one, static_cast<double>(samples));
  return 1.0 - none;
}

double GroupVariance::at(int64_t group_size) const {
  const auto [a, b, c] = factors(group_size);
  return a * between + b * first + c * second;
}

// Of three components there are seven choices that are not empty. Each is solved with the other components at 0, and
// the best solution without a negative component is the one under the constraint that none is negative.
GroupVariance fit_group_variance(const std::vector<int64_t>& group_sizes, const std::vector<double>& variances) {
  GRPO_CHECK(group_sizes.size() == variances.size() && group_sizes.size() >= 3, group_sizes.size(), " group sizes");
  std::vector<Components> rows;
  for (size_t i = 0; i < group_sizes.size(); ++i) {
    rows.push_back(factors(group_sizes[i]));
    for (double& factor : rows.back()) factor /= variances[i];
  }
  Components best{};
  double least = std::numeric_limits<double>::infinity();
  for (int used = 1; used < 8; ++used) {
    const auto x = solve(rows, {(used & 1) != 0, (used & 2) != 0, (used & 4) != 0});
    const bool valid = std::all_of(x.begin(), x.end(), [](double value) { return value >= 0.0; });
    if (!valid || error_of(rows, x) >= least) continue;
    least = error_of(rows, x);
    best = x;
  }
  return {.between = best[0], .first = best[1], .second = best[2]};
}

}  // namespace grpo::algo
