#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "grpo/base/fields.h"

namespace grpo::algo {

/// How a rollout's reward becomes its advantage. r is the reward; m and s are the mean and the standard deviation of
/// the rewards of its group, which has G rollouts.
enum class Advantage {
  kGrpo,         // (r - m) / (s + eps)                                    arXiv 2402.03300
  kDrGrpo,       // r - m                                                  arXiv 2503.20783
  kRloo,         // r - mean of the others = G / (G - 1) * (r - m)         arXiv 2402.14740
  kBatchStd,     // (r - m) / (s over all rollouts of the step + eps)
  kReinforcePp,  // x = r - m, then (x - mean x) / (std of x + eps) over the step  REINFORCE++-baseline, arXiv
                 // 2501.03262
};
std::vector<std::string> enum_names(Advantage);

enum class Std { kPopulation, kSample };  // divisor G (arXiv 2510.00977) or G - 1 (torch.std)
std::vector<std::string> enum_names(Std);

struct AdvantageConfig {
  Advantage kind = Advantage::kGrpo;
  Std std = Std::kPopulation;
  double std_eps = 1e-6;  // added to the deviation
  GRPO_FIELDS(f) {
    f("advantage", kind, "how rewards become advantages");
    f("std", std, "divisor of the variance: population (G) or sample (G - 1)");
    f("std_eps", std_eps, "added to the standard deviation", base::at_least(0));
  }
};

/// Rewards of a group count as equal when the largest and the smallest differ by no more than this share of the largest
/// magnitude among them. Sums of the same terms in another order differ by about 1e-16 of that magnitude, and an
/// estimator that divides by the deviation would turn such a difference into advantages as large as those of a right
/// answer. Rewards that were rounded to fp32 can differ by 1e-7 and do not count as equal.
inline constexpr double kEqualRewards = 1e-9;

/// Whether an estimator uses rewards from outside the group, so that it needs those of the whole step.
bool looks_beyond_group(Advantage kind);

/// Advantage of every rollout, by the formulas above, computed in double.
/// With the population std a pair of different rewards gives exactly -1 and +1 up to the eps (0 / 1 rewards:
/// 0.5 / (0.5 + eps)); with the sample std +-0.7071: the two are not interchangeable.
/// rewards: [R] floating, any device, of the whole step over all ranks where the estimator looks_beyond_group().
/// group_offsets: [Q + 1], group q is rewards[offsets[q], offsets[q + 1]).
/// magnitudes: [R], for each reward the sum of the absolute values of the terms that were added up to it, to which its
/// rounding error is relative. Undefined stands for |rewards|.
/// Returns [R] with the dtype and device of rewards, no gradient. A group of one, or one whose rewards are all equal up
/// to kEqualRewards, gets exactly 0: decided by comparing rewards, so that rounding is never divided by a tiny
/// deviation. Throws base::Error naming the index of a reward that is not finite. REQUIRES: group_offsets is
/// non-decreasing, starts at 0 and ends at R.
at::Tensor group_advantage(const at::Tensor& rewards, at::IntArrayRef group_offsets, const AdvantageConfig& config,
                           const at::Tensor& magnitudes = {});

/// The same for rollouts that have no group: each is compared with a baseline that does not depend on its own reward
/// (SPO, arXiv 2509.13232). x = r - baseline takes the place of r - m, and the whole step takes the place of the group:
/// grpo and batch_std divide x by (its standard deviation over the step + eps), reinforce_pp subtracts its mean before
/// it divides, dr_grpo and rloo take x itself. config.std is the divisor of that deviation. Where all x are equal up to
/// rounding nothing is divided. rewards, baselines: [R] floating, of the whole step over all ranks; the baselines must
/// be finite. Returns [R] with the dtype and device of rewards, no gradient. Throws base::Error naming the index of a
/// reward that is not finite.
at::Tensor baseline_advantage(const at::Tensor& rewards, const at::Tensor& baselines, const AdvantageConfig& config);

}  // namespace grpo::algo
