#include "grpo/algo/kl.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <cmath>

namespace grpo::algo {
namespace {

const auto kLogProbs = at::tensor({-1.0, -2.0, -0.5, -3.0, -1.0}, at::kDouble);
const auto kReference = at::tensor({-1.0, -1.5, -1.0, -3.0, -31.0}, at::kDouble);  // d = 0, 0.5, -0.5, 0, -30

TEST(KlPenalty, IsTheNumberWorkedOutByHandAndClampedAtTen) {
  const auto expect = [](KlEstimator estimator, std::vector<double> values) {
    const auto difference = kl_penalty(kLogProbs, kReference, estimator) - at::tensor(values, at::kDouble);
    EXPECT_LE(difference.abs().max().item<double>(), 1e-12);
  };
  expect(KlEstimator::kK1, {0, -0.5, 0.5, 0, 10});
  expect(KlEstimator::kK2, {0, 0.125, 0.125, 0, 10});
  expect(KlEstimator::kK3, {0, std::exp(0.5) - 1.5, std::exp(-0.5) - 0.5, 0, 10});
  expect(KlEstimator::kAbs, {0, 0.5, 0.5, 0, 10});
  EXPECT_THAT(enum_names(KlEstimator{}), ::testing::ElementsAre("k1", "k2", "k3", "abs"));
}

TEST(KlPenalty, StaysFiniteInFloatForAnyLogProbs) {
  const auto far = at::tensor({-200.0f, 0.0f}), near = at::tensor({0.0f, -200.0f});
  for (const KlEstimator estimator : {KlEstimator::kK1, KlEstimator::kK2, KlEstimator::kK3}) {
    EXPECT_TRUE(kl_penalty(far, near, estimator).abs().le(10.0).all().item<bool>());
  }
}

TEST(KlPenalty, HasTheGradientOfItsFormula) {
  const auto log_probs = kLogProbs.slice(0, 0, 4).clone().requires_grad_();
  const auto d = kReference.slice(0, 0, 4) - log_probs.detach();
  const std::vector<std::pair<KlEstimator, at::Tensor>> rows = {
      {KlEstimator::kK1, at::ones_like(d)}, {KlEstimator::kK2, -d}, {KlEstimator::kK3, 1.0 - d.exp()}};
  for (const auto& [estimator, expected] : rows) {
    log_probs.mutable_grad().reset();
    kl_penalty(log_probs, kReference.slice(0, 0, 4), estimator).sum().backward();
    EXPECT_LE((log_probs.grad() - expected).abs().max().item<double>(), 1e-12);
  }
}

// Over a whole vocabulary the expectation of k1 and of k3 under pi is the divergence itself.
TEST(KlPenalty, K1AndK3AreUnbiased) {
  const auto policy = at::log_softmax(at::tensor({0.3, -1.0, 2.0, 0.1}, at::kDouble), 0);
  const auto reference = at::log_softmax(at::tensor({1.0, 0.5, -0.2, 0.0}, at::kDouble), 0);
  const double divergence = (policy.exp() * (policy - reference)).sum().item<double>();
  for (const KlEstimator estimator : {KlEstimator::kK1, KlEstimator::kK3}) {
    EXPECT_NEAR((policy.exp() * kl_penalty(policy, reference, estimator)).sum().item<double>(), divergence, 1e-12);
  }
}

}  // namespace
}  // namespace grpo::algo
