#include "grpo/trainer/eval_metrics.h"

#include <algorithm>
#include <map>

#include "grpo/base/error.h"
#include "grpo/base/random.h"

namespace grpo::trainer {

double pass_at_k(int64_t n, int64_t c, int64_t k) {
  GRPO_CHECK(1 <= k && k <= n && 0 <= c && c <= n, "n=", n, " c=", c, " k=", k);
  if (n - c < k) return 1.0;
  // C(n - c, k) / C(n, k) as a product: the binomials themselves would overflow.
  double all_wrong = 1.0;
  for (int64_t i = n - c + 1; i <= n; ++i) all_wrong *= 1.0 - static_cast<double>(k) / static_cast<double>(i);
  return 1.0 - all_wrong;
}

double maj_at_k(const std::vector<int64_t>& answer, const std::vector<bool>& right) {
  GRPO_CHECK(answer.size() == right.size(), answer.size(), " answers, ", right.size(), " verdicts");
  std::map<int64_t, int64_t> votes;
  std::map<int64_t, bool> class_right;
  for (size_t i = 0; i < answer.size(); ++i) {
    if (answer[i] < 0) continue;
    ++votes[answer[i]];
    class_right[answer[i]] = right[i];
  }
  int64_t most = 0;
  for (const auto& [label, count] : votes) most = std::max(most, count);
  double tied = 0.0;
  double tied_right = 0.0;
  for (const auto& [label, count] : votes) {
    if (count != most) continue;
    tied += 1.0;
    if (class_right[label]) tied_right += 1.0;
  }
  return tied == 0.0 ? 0.0 : tied_right / tied;
}

Interval bootstrap_mean(const std::vector<double>& per_problem, uint64_t seed, int resamples) {
  if (per_problem.empty()) return {};
  const base::RandomKey key{seed, base::stream_id("bootstrap")};
  const auto n = static_cast<uint64_t>(per_problem.size());
  std::vector<double> means;
  means.reserve(static_cast<size_t>(resamples));
  for (int r = 0; r < resamples; ++r) {
    double sum = 0.0;
    for (uint64_t i = 0; i < n; ++i) {
      sum += per_problem[base::uniform_below(key, static_cast<uint64_t>(r), static_cast<uint32_t>(i), n)];
    }
    means.push_back(sum / static_cast<double>(n));
  }
  std::sort(means.begin(), means.end());
  const auto at = [&](double q) { return means[static_cast<size_t>(q * static_cast<double>(means.size() - 1) + 0.5)]; };
  return {at(0.025), at(0.975)};
}

}  // namespace grpo::trainer
