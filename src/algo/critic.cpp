#include "grpo/algo/critic.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/where.h>

#include "grpo/base/error.h"

namespace grpo::algo {

TokenEstimates estimate_advantages(const Gae& config, const std::vector<double>& rewards,
                                   const std::vector<double>& values) {
  GRPO_CHECK(rewards.size() == values.size(), rewards.size(), " rewards for ", values.size(), " values");
  TokenEstimates estimates{.advantages = std::vector<double>(rewards.size()),
                           .returns = std::vector<double>(rewards.size())};
  double next_value = 0.0, next_advantage = 0.0;
  for (size_t t = rewards.size(); t-- > 0;) {
    const double difference = rewards[t] + config.gamma * next_value - values[t];
    next_advantage = difference + config.gamma * config.lambda * next_advantage;
    next_value = values[t];
    estimates.advantages[t] = next_advantage;
    estimates.returns[t] = next_advantage + values[t];
  }
  return estimates;
}

// The larger of the two squares is chosen by cases. A value within the range is unclipped whatever the squares say:
// they are then equal but for the rounding of V_old + (V - V_old), which must not cost the token its gradient.
ValueLoss value_loss(std::optional<double> clip, const ValueLossInputs& inputs) {
  const auto error = inputs.values - inputs.returns;
  ValueLoss loss{.terms = 0.5 * error * error, .measures = {}};
  if (clip) {
    const auto moved = inputs.values.detach() - inputs.old_values;
    const auto clipped = inputs.old_values + moved.clamp(-*clip, *clip) - inputs.returns;
    const auto squared = 0.5 * clipped * clipped;
    const auto holds = (moved.abs() > *clip) & (squared > loss.terms.detach());
    loss.terms = at::where(holds, squared, loss.terms);
    loss.measures.push_back({"value/clip_fraction", Fold::kMean, holds.to(at::kFloat).sum()});
  }
  loss.measures.insert(loss.measures.begin(), {"value/loss", Fold::kMean, loss.terms.detach().sum()});
  return loss;
}

void ExplainedVariance::add(double value, double of_return) {
  const double error = of_return - value;
  count += 1.0;
  returns += of_return;
  returns_squared += of_return * of_return;
  errors += error;
  errors_squared += error * error;
}

double ExplainedVariance::value() const {
  if (count == 0.0) return 0.0;
  const double of_returns = returns_squared / count - returns / count * (returns / count);
  const double of_errors = errors_squared / count - errors / count * (errors / count);
  return of_returns <= 1e-12 * returns_squared / count ? 0.0 : 1.0 - of_errors / of_returns;
}

}  // namespace grpo::algo
