#include "grpo/kernels/head.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "kernels/every_cpu.h"

namespace grpo::kernels {
namespace {

using testing::with_every_cpu;

// {log-probs of targets, entropy, gradient of g log p + h entropy} by their definitions, in double.
struct Expected {
  at::Tensor log_probs, entropy, gradient;

  Expected(const at::Tensor& logits, const at::Tensor& targets, double temperature, const at::Tensor& g,
           const at::Tensor& h) {
    const auto leaf = logits.to(at::kDouble).set_requires_grad(true);
    const auto all = at::log_softmax(leaf / temperature, -1);
    log_probs = all.gather(1, targets.unsqueeze(1)).squeeze(1);
    entropy = -(all.exp() * all).sum(-1);
    (log_probs * g + entropy * h).sum().backward();
    gradient = leaf.grad();
  }
};

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b).detach().abs().max().item<double>();
}

TEST(HeadRows, EqualTheirDefinitionsInDouble) {
  at::manual_seed(3);
  with_every_cpu([] {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t vocabulary : {1, 2, 31, 512, 1501}) {
        for (const double temperature : {1.0, 0.6}) {
          auto logits = (at::randn({7, vocabulary}) * 5).to(type);
          const auto targets = at::randint(vocabulary, {7}, at::kLong);
          const auto g = at::randn({7}), h = at::randn({7});
          const Expected expected(logits, targets, temperature, g, h);
          const auto rows = head_rows(logits, targets, temperature);
          EXPECT_LT(distance(rows.log_probs, expected.log_probs),
                    3e-6 * (1.0 + expected.log_probs.detach().abs().max().item<double>()));
          EXPECT_LT(distance(rows.entropy, expected.entropy), 1e-5);
          head_gradient_(logits, targets, rows, temperature, g, h);
          EXPECT_EQ(logits.scalar_type(), type);
          // bf16 rounds the gradient once, to 2^-8 of its size at most.
          const double size = 0.1 + expected.gradient.abs().max().item<double>();
          const double tolerance = (type == at::kFloat ? 2e-6 : 4e-3) * size;
          EXPECT_LT(distance(logits, expected.gradient), tolerance) << vocabulary;
        }
      }
    }
  });
}

TEST(HeadRows, GiveNoGradientWhereNoneIsAsked) {
  auto logits = at::randn({4, 33});
  const auto targets = at::zeros({4}, at::kLong);
  head_gradient_(logits, targets, head_rows(logits, targets, 1.0), 1.0, {}, {});
  EXPECT_EQ(logits.abs().max().item<double>(), 0.0);
}

TEST(HeadRows, TakeMaskedIdsAndHugeLogits) {
  auto logits = at::full({2, 600}, -INFINITY);
  logits.select(1, 5).fill_(1e6);
  logits.select(1, 7).fill_(1e6);
  const auto targets = at::tensor({5, 7}, at::kLong);
  const auto rows = head_rows(logits, targets, 1.0);
  EXPECT_NEAR(rows.log_probs[0].item<double>(), std::log(0.5), 1e-6);
  EXPECT_NEAR(rows.entropy[1].item<double>(), std::log(2.0), 1e-6);
  head_gradient_(logits, targets, rows, 1.0, at::ones({2}), at::ones({2}));
  EXPECT_TRUE(at::isfinite(logits).all().item<bool>());
  EXPECT_NEAR(logits[0][5].item<double>(), 0.5, 1e-6);
}

TEST(HeadRows, RefuseATargetOutsideTheVocabulary) {
  const auto logits = at::zeros({1, 4});
  for (const int64_t target : {-1, 4})
    EXPECT_THROW(head_rows(logits, at::tensor({target}, at::kLong), 1.0), std::logic_error);
}

TEST(HeadRows, AreEmptyForNoRows) {
  auto logits = at::zeros({0, 4});
  const auto targets = at::zeros({0}, at::kLong);
  const auto rows = head_rows(logits, targets, 1.0);
  EXPECT_EQ(rows.entropy.numel(), 0);
  head_gradient_(logits, targets, rows, 1.0, {}, {});
}

}  // namespace
}  // namespace grpo::kernels
