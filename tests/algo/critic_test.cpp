#include "grpo/algo/critic.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "algo/golden_arrays.h"
#include "support/golden.h"

namespace grpo::algo {
namespace {

using Values = std::vector<double>;

// Kept, since a loop over a part of it needs the whole.
const nlohmann::json& golden() {
  static const auto all = testing::read_golden_json(testing::golden_dir() / "loss" / "critic.json");
  return all;
}

at::Tensor doubles(const nlohmann::json& values) { return at::tensor(values.get<Values>(), at::kDouble); }

// The reference adds up k-step advantages, as the paper's definition does.
TEST(Gae, AdvantagesAndReturnsAreThoseOfTheDefinition) {
  for (const auto& setting : golden().at("gae")) {
    const Gae config{.gamma = setting.at("gamma"), .lambda = setting.at("lambda")};
    for (const auto& completion : setting.at("completions")) {
      const auto estimates =
          estimate_advantages(config, completion.at("rewards").get<Values>(), completion.at("values").get<Values>());
      for (size_t t = 0; t < estimates.advantages.size(); ++t) {
        EXPECT_NEAR(estimates.advantages[t], completion.at("advantages")[t].get<double>(), 1e-12);
        EXPECT_NEAR(estimates.returns[t], completion.at("returns")[t].get<double>(), 1e-12);
      }
    }
  }
}

TEST(Gae, OfARewardAtTheEndIsItLessTheValueWhereNothingIsDiscounted) {
  const auto estimates = estimate_advantages({.gamma = 1.0, .lambda = 1.0}, {0.0, 0.0, 1.0}, {0.25, 0.5, 0.75});
  EXPECT_EQ(estimates.advantages, (Values{0.75, 0.5, 0.25}));
  EXPECT_EQ(estimates.returns, (Values{1.0, 1.0, 1.0}));
}

TEST(ValueLoss, TermsAndGradientAreTheReferences) {
  for (const auto& expected : golden().at("value_loss")) {
    const auto clip = expected.at("clip").is_null() ? std::nullopt : std::optional<double>(expected.at("clip"));
    const auto values = doubles(expected.at("values")).requires_grad_();
    const auto loss = value_loss(clip, {.values = values,
                                        .old_values = doubles(expected.at("old_values")),
                                        .returns = doubles(expected.at("returns"))});
    EXPECT_TRUE(at::allclose(loss.terms, doubles(expected.at("terms")), 0.0, 1e-12));
    loss.terms.sum().backward();
    EXPECT_TRUE(at::allclose(values.grad(), doubles(expected.at("gradient")), 0.0, 1e-12));
    const auto count = static_cast<double>(values.numel());
    EXPECT_NEAR(measured(loss.measures, "value/loss"), loss.terms.sum().item<double>(), 1e-9);
    EXPECT_NEAR(measured(loss.measures, "value/clip_fraction") / count, expected.at("clip_fraction").get<double>(),
                1e-9);
  }
}

TEST(ValueLoss, FirstUpdateHasTheWholeGradientThoughNothingHasMoved) {
  const auto old = at::tensor(Values{0.1, 0.9}, at::kDouble), returns = at::tensor(Values{1.0, 0.0}, at::kDouble);
  const auto values = old.clone().requires_grad_();
  value_loss(0.2, {.values = values, .old_values = old, .returns = returns}).terms.sum().backward();
  EXPECT_TRUE(at::allclose(values.grad(), old - returns));
}

// In fp32, V_old + (V - V_old) is often not V. Here it makes the clipped square the larger one at 9 % of the tokens.
TEST(ValueLoss, EveryValueWithinTheClipRangeKeepsItsGradient) {
  const auto wave = [](float step) { return (at::arange(10000, at::kFloat) * step).sin() * 0.09f; };
  const auto values = wave(0.7f).requires_grad_();
  const auto old = wave(0.37f), returns = wave(1.3f);
  const auto loss = value_loss(0.2, {.values = values, .old_values = old, .returns = returns});
  loss.terms.sum().backward();
  EXPECT_EQ(measured(loss.measures, "value/clip_fraction"), 0.0);
  EXPECT_TRUE(at::equal(values.grad(), values.detach() - returns));
}

TEST(ExplainedVariance, IsOneForTheReturnsAndZeroForAConstant) {
  ExplainedVariance right, constant, none;
  for (const double value : {0.0, 1.0, 3.0}) {
    right.add(value, value);
    constant.add(0.5, value);
    none.add(value, 2.0);
  }
  EXPECT_NEAR(right.value(), 1.0, 1e-12);
  EXPECT_NEAR(constant.value(), 0.0, 1e-12);
  EXPECT_EQ(none.value(), 0.0);  // there is nothing to explain
}

}  // namespace
}  // namespace grpo::algo
