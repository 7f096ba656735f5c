#include "grpo/algo/policy_loss.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "grpo/algo/packed.h"
#include "grpo/base/error.h"

namespace grpo::algo {
namespace {

using ::testing::HasSubstr;

const std::vector<Loss> kAll = {Loss::kClip, Loss::kReinforce, Loss::kGspo, Loss::kCispo, Loss::kSapo};

at::Tensor doubles(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

// Five tokens in two rollouts, of 2 and of 3 tokens, with ratios 1, 2, 0.5, 1.1, 4.
struct Five {
  at::Tensor ratio = doubles({1.0, 2.0, 0.5, 1.1, 4.0});
  at::Tensor log_probs = doubles({-1.0, -2.0, -0.5, -3.0, -0.25}).requires_grad_();
  at::Tensor old_log_probs = (log_probs - ratio.log()).detach();
  at::Tensor advantages = doubles({1.0, 1.0, -1.0, -1.0, -1.0});
  std::vector<int64_t> offsets = {0, 2, 5};

  PolicyLoss operator()(const PolicyLossConfig& config, const at::Tensor& mask = {}) const {
    return policy_loss(config, {.log_probs = log_probs,
                                .old_log_probs = old_log_probs,
                                .advantages = advantages,
                                .rollout_offsets = offsets,
                                .mask = mask});
  }
  at::Tensor gradient(const PolicyLoss& loss) const {
    log_probs.mutable_grad().reset();
    loss.terms.sum().backward();
    return log_probs.grad().clone();
  }
};

at::Tensor measured(const PolicyLoss& loss, const std::string& name) {
  const auto found =
      std::find_if(loss.measures.begin(), loss.measures.end(), [&](const Measure& m) { return m.name == name; });
  return found == loss.measures.end() ? at::Tensor() : found->value;
}

void expect_near(const at::Tensor& values, const at::Tensor& expected) {
  EXPECT_LE((values.detach() - expected).abs().max().item<double>(), 1e-12) << values << expected;
}

TEST(LossNames, AreThoseOfTheDocumentation) {
  EXPECT_THAT(enum_names(Loss{}),
              ::testing::ElementsAre("clip", "reinforce", "gspo", "cispo", "sapo", "pair", "pair_logistic"));
}

// Positive advantage: ratio 2 is above 1.28. Negative: 0.5 is below 0.8; 4 is not clipped, it is bad and moving away.
TEST(ClipLoss, OfFiveTokensIsTheNumberWorkedOutByHand) {
  const Five five;
  const auto loss = five({.loss = Loss::kClip});
  expect_near(loss.terms, doubles({-1.0, -1.28, 0.8, 1.1, 4.0}));
  expect_near(five.gradient(loss), doubles({-1.0, 0.0, 0.0, 1.1, 4.0}));
  EXPECT_EQ(measured(loss, "clip_fraction").item<int64_t>(), 2);
  EXPECT_FALSE(measured(loss, "clip_fraction/dual").defined());
  EXPECT_NEAR(measured(loss, "ratio/max").item<double>(), 4.0, 1e-12);
}

TEST(ClipLoss, DualClipBoundsNegativeAdvantagesOnly) {
  Five five;
  five.advantages = doubles({1.0, 1.0, -1.0, -1.0, -2.0});
  const auto loss = five({.loss = Loss::kClip, .clip_high = 9.0, .dual_clip = 3.0});
  expect_near(loss.terms, doubles({-1.0, -2.0, 0.8, 1.1, 6.0}));
  expect_near(five.gradient(loss), doubles({-1.0, -2.0, 0.0, 1.1, 0.0}));
  EXPECT_EQ(measured(loss, "clip_fraction/dual").item<int64_t>(), 1);
}

TEST(PolicyLoss, GivesTheWholeGradientOnThePolicyThatSampled) {
  Five five;
  five.old_log_probs = five.log_probs.detach();
  for (const Loss kind : kAll) {
    const auto loss = five({.loss = kind});
    expect_near(five.gradient(loss), -five.advantages);
    EXPECT_EQ(measured(loss, "clip_fraction").item<int64_t>(), 0);
    EXPECT_EQ(measured(loss, "ratio/max").item<double>(), 1.0);
  }
}

TEST(ClipLoss, ClampsTheLogRatioAtTwenty) {
  Five five;
  five.old_log_probs = doubles({-51.0, 48.0, -0.5, -3.0, -0.25});
  const auto loss = five({.loss = Loss::kClip, .clip_low = 1.0, .clip_high = 1e12});
  expect_near(loss.terms, doubles({-std::exp(20.0), -std::exp(-20.0), 1.0, 1.0, 1.0}));
  expect_near(five.gradient(loss), doubles({0.0, 0.0, 1.0, 1.0, 1.0}));
  EXPECT_NEAR(measured(loss, "ratio/max").item<double>(), std::exp(20.0), 1e-3);
}

// The ratio s of the first rollout is sqrt(1 * 2), that of the second cbrt(0.5 * 1.1 * 4).
TEST(GspoLoss, UsesTheLengthNormalisedRatioOfTheSequence) {
  const Five five;
  const double s1 = std::sqrt(2.0), s2 = std::cbrt(2.2);
  const auto loss = five({.loss = Loss::kGspo});
  expect_near(loss.terms, doubles({-1.28, -1.28, s2, s2, s2}));
  expect_near(five.gradient(loss), doubles({0.0, 0.0, s2, s2, s2}));
  EXPECT_EQ(measured(loss, "clip_fraction").item<int64_t>(), 2);
  EXPECT_NEAR(measured(loss, "ratio/max").item<double>(), s1, 1e-12);
}

TEST(GspoLoss, AveragesOverCountedTokensOnly) {
  const Five five;
  const auto mask = at::tensor({0, 1, 1, 0, 1}).to(at::kBool);
  const auto loss = five({.loss = Loss::kGspo, .clip_low = 0.9, .clip_high = 9.0}, mask);
  expect_near(loss.terms, doubles({0.0, -2.0, std::sqrt(2.0), 0.0, std::sqrt(2.0)}));
}

TEST(CispoLoss, ClipsTheWeightAndKeepsEveryGradient) {
  const Five five;
  const auto loss = five({.loss = Loss::kCispo});
  const auto weight = doubles({1.0, 1.28, 0.8, 1.1, 1.28});
  expect_near(loss.terms, -weight * five.advantages * five.log_probs.detach());
  expect_near(five.gradient(loss), -weight * five.advantages);
  EXPECT_EQ(measured(loss, "clip_fraction").item<int64_t>(), 3);
}

TEST(SapoLoss, IsASigmoidOfTheRatioWithATemperatureBySign) {
  const Five five;
  const auto loss = five({.loss = Loss::kSapo, .sapo_tau_positive = 1.5, .sapo_tau_negative = 2.0});
  const auto tau = doubles({1.5, 1.5, 2.0, 2.0, 2.0});
  const auto gate = at::sigmoid(tau * (five.ratio - 1.0));
  expect_near(loss.terms, -five.advantages * 4.0 / tau * gate);
  expect_near(five.gradient(loss), -five.advantages * 4.0 * gate * (1.0 - gate) * five.ratio);
}

TEST(ReinforceLoss, IsTheLogProbTimesTheAdvantage) {
  const Five five;
  const auto loss = five({.loss = Loss::kReinforce});
  expect_near(loss.terms, -five.advantages * five.log_probs.detach());
  expect_near(five.gradient(loss), -five.advantages);
}

class EveryLoss : public ::testing::TestWithParam<Loss> {};

// Central differences of the value cannot know what a loss keeps from having a gradient, so two losses differ. In cispo
// the weight has none: the derivative is the term divided by log pi. In gspo the sequence ratio moves with each token
// at 1 / |o|, and all terms of the rollout move with it: the differences give the mean of the rollout's gradients,
// which belong to the tokens themselves.
TEST_P(EveryLoss, GradientEqualsFiniteDifferences) {
  at::manual_seed(17);
  const auto log_probs = (-at::rand({14}, at::kDouble) * 3).requires_grad_();
  const auto old = (log_probs + at::randn({14}, at::kDouble) * 0.4).detach();
  const auto advantages = at::randn({14}, at::kDouble);
  const std::vector<int64_t> offsets = {0, 3, 4, 10, 14};
  const auto terms_at = [&](const at::Tensor& values) {
    return policy_loss(
               {.loss = GetParam()},
               {.log_probs = values, .old_log_probs = old, .advantages = advantages, .rollout_offsets = offsets})
        .terms;
  };
  terms_at(log_probs).sum().backward();
  auto gradient = log_probs.grad();
  const auto here = log_probs.detach();
  auto numeric = at::zeros({14}, at::kDouble);
  for (int64_t t = 0; t < 14; ++t) {
    auto step = at::zeros({14}, at::kDouble);
    step[t] = 1e-6;
    numeric[t] = (terms_at(here + step) - terms_at(here - step)).sum() / 2e-6;
  }
  if (GetParam() == Loss::kCispo) numeric = terms_at(here) / here;
  if (GetParam() == Loss::kGspo) {
    gradient = per_token(sum_per_rollout(gradient, offsets) / tokens_per_rollout({}, offsets), offsets);
  }
  EXPECT_LE((gradient - numeric).abs().max().item<double>(), 1e-7);
}

TEST_P(EveryLoss, IgnoresWhatLiesUnderTheMaskEvenNotANumber) {
  Five clean;
  Five dirty;
  const auto mask = at::tensor({1, 0, 1, 1, 0}).to(at::kBool);
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const auto spoil = [&](const at::Tensor& t, double value) { return at::where(mask, t.detach(), doubles({value})); };
  dirty.log_probs = spoil(dirty.log_probs, nan).requires_grad_();
  dirty.old_log_probs = spoil(dirty.old_log_probs, -inf);
  dirty.advantages = spoil(dirty.advantages, inf);
  const PolicyLossConfig config{.loss = GetParam()};
  const auto expected = clean(config, mask);
  const auto loss = dirty(config, mask);
  EXPECT_TRUE(loss.terms.equal(expected.terms));
  EXPECT_TRUE(dirty.gradient(loss).equal(clean.gradient(expected)));
  EXPECT_EQ(loss.terms[1].item<double>(), 0.0);
  EXPECT_TRUE(measured(loss, "clip_fraction").equal(measured(expected, "clip_fraction")));
  EXPECT_TRUE(measured(loss, "ratio/max").equal(measured(expected, "ratio/max")));
}

TEST_P(EveryLoss, HasZeroGradientWhereTheAdvantageIsZero) {
  Five five;
  five.advantages = at::zeros_like(five.advantages);
  const auto loss = five({.loss = GetParam()});
  EXPECT_EQ(five.gradient(loss).abs().max().item<double>(), 0.0);
  EXPECT_EQ(loss.terms.detach().abs().max().item<double>(), 0.0);
}

TEST_P(EveryLoss, AcceptsNoTokens) {
  const auto none = at::empty({0}, at::kFloat);
  const auto loss = policy_loss(
      {.loss = GetParam()},
      {.log_probs = none, .old_log_probs = none, .advantages = none, .rollout_offsets = std::vector<int64_t>{0}});
  EXPECT_EQ(loss.terms.numel(), 0);
  EXPECT_EQ(measured(loss, "ratio/max").item<double>(), 0.0);
}

INSTANTIATE_TEST_SUITE_P(Losses, EveryLoss, ::testing::ValuesIn(kAll));
INSTANTIATE_TEST_SUITE_P(Pairs, EveryLoss, ::testing::Values(Loss::kPair));

TEST(PolicyLoss, RefusesADualClipThatWouldDoNothing) {
  for (const Loss kind : {Loss::kReinforce, Loss::kCispo, Loss::kSapo}) {
    try {
      validate({.loss = kind, .dual_clip = 3.0});
      FAIL() << "no error";
    } catch (const base::ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("algorithm.dual_clip"));
    }
  }
}

TEST(PolicyLoss, ChecksItsConfigAndShapes) {
  Five five;
  EXPECT_THROW(five({.loss = Loss::kSapo, .dual_clip = 3.0}), base::ConfigError);
  five.advantages = doubles({1.0});
  EXPECT_THROW(five({}), std::logic_error);
}

}  // namespace
}  // namespace grpo::algo
