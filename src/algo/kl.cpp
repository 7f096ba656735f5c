#include "grpo/algo/kl.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/expm1.h>

#include <array>

#include "grpo/base/error.h"

namespace grpo::algo {
namespace {

constexpr double kMaxEstimate = 10.0;
constexpr double kMaxExponent = 20.0;  // keeps exp finite in fp32; far beyond where k3 is clamped

// In all of these d = log pi_ref - log pi.
at::Tensor k1(const at::Tensor& d) { return -d; }
at::Tensor k2(const at::Tensor& d) { return 0.5 * d * d; }
at::Tensor k3(const at::Tensor& d) {
  const auto clamped = d.clamp(-kMaxExponent, kMaxExponent);
  return at::expm1(clamped) - clamped;
}
at::Tensor absolute(const at::Tensor& d) { return d.abs(); }

struct EstimatorRow {
  const char* name;
  at::Tensor (*estimate)(const at::Tensor& d);
};

// The rows are in the order of the enumerators.
constexpr std::array<EstimatorRow, 4> kEstimators = {{{"k1", k1}, {"k2", k2}, {"k3", k3}, {"abs", absolute}}};

}  // namespace

std::vector<std::string> enum_names(KlEstimator) {
  std::vector<std::string> names;
  for (const EstimatorRow& row : kEstimators) names.emplace_back(row.name);
  return names;
}

at::Tensor kl_penalty(const at::Tensor& log_probs, const at::Tensor& reference_log_probs, KlEstimator estimator) {
  GRPO_CHECK(log_probs.sizes() == reference_log_probs.sizes(), log_probs.sizes(), " against ",
             reference_log_probs.sizes());
  const auto d = reference_log_probs.detach() - log_probs;
  return kEstimators.at(static_cast<size_t>(estimator)).estimate(d).clamp(-kMaxEstimate, kMaxEstimate);
}

}  // namespace grpo::algo
