#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "grpo/algo/measure.h"

namespace grpo::algo {

/// Generalized advantage estimation (arXiv 1506.02438).
struct Gae {
  double gamma = 1.0;    // discount of what comes a token later
  double lambda = 0.95;  // 0 trusts the critic's next value alone, 1 the rewards that came alone
};

/// A completion's tokens as PPO sees them.
struct TokenEstimates {
  std::vector<double> advantages;  // [m]
  std::vector<double> returns;     // [m] advantage + value, which is what the critic is to learn
};

/// d_t = r_t + gamma V_{t+1} - V_t, A_t = d_t + gamma lambda A_{t+1}, where V_t is the critic's value before token t is
/// drawn. After the last token V and A are 0, also in a completion that was cut off at its length limit.
/// rewards, values: [m] of one completion.
TokenEstimates estimate_advantages(const Gae& config, const std::vector<double>& rewards,
                                   const std::vector<double>& values);

struct ValueLossInputs {
  at::Tensor values;      // [N] with gradient
  at::Tensor old_values;  // [N] the values before the first update of the step; used with a clip only
  at::Tensor returns;     // [N]
};

struct ValueLoss {
  at::Tensor terms;               // [N] with gradient
  std::vector<Measure> measures;  // value/loss: mean of the terms; value/clip_fraction where there is a clip
};

/// PPO's value loss, 1/2 max((V - R)^2, (V_old + clip(V - V_old, -clip, clip) - R)^2), or 1/2 (V - R)^2 without a clip.
ValueLoss value_loss(std::optional<double> clip, const ValueLossInputs& inputs);

/// 1 - Var(R - V) / Var(R): 1 where the values are the returns, 0 where they are no better than a constant. What is
/// kept are sums over tokens.
struct ExplainedVariance {
  double count = 0.0, returns = 0.0, returns_squared = 0.0, errors = 0.0, errors_squared = 0.0;

  void add(double value, double of_return);
  /// The explained variance. It is 0 where all returns are equal, as then there is nothing to explain.
  double value() const;
  /// The mean of the critic's values.
  double mean_value() const { return count == 0.0 ? 0.0 : (returns - errors) / count; }
};

}  // namespace grpo::algo
