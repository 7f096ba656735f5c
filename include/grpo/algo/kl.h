#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace grpo::algo {

/// Estimators of KL(pi || pi_ref) from tokens sampled by pi (J. Schulman, "Approximating KL divergence", 2020).
/// d = log pi_ref - log pi.
enum class KlEstimator {
  kK1,   // -d: unbiased
  kK2,   // d^2 / 2
  kK3,   // exp(d) - d - 1: unbiased, never negative
  kAbs,  // |d|: a distance, not an estimate of the divergence
};
std::vector<std::string> enum_names(KlEstimator);

/// Per-token estimate, clamped to +-10 (d to +-20 before exp). log_probs: [N] with gradient; reference_log_probs: [N],
/// taken as constant. Returns [N].
at::Tensor kl_penalty(const at::Tensor& log_probs, const at::Tensor& reference_log_probs, KlEstimator estimator);

}  // namespace grpo::algo
