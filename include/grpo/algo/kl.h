#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
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

/// How far the log-probs that the sampler recorded are from the trainer's for the same weights. Sums, so that
/// micro-batches and ranks can be added; abs_max by maximum.
struct Mismatch {
  double abs_sum = 0.0;  // of |trainer - sampler|
  double abs_max = 0.0;
  double k3_sum = 0.0;  // KL(sampler || trainer), k3
  int64_t tokens = 0;

  double abs_mean() const { return tokens > 0 ? abs_sum / static_cast<double>(tokens) : 0.0; }
  double k3_mean() const { return tokens > 0 ? k3_sum / static_cast<double>(tokens) : 0.0; }
  Mismatch& operator+=(const Mismatch& other);
};

/// sampler, trainer: [N]; mask: [N] bool, or undefined when all tokens count. No gradient.
Mismatch measure_mismatch(const at::Tensor& sampler, const at::Tensor& trainer, const at::Tensor& mask = {});

}  // namespace grpo::algo
