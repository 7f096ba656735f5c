// Losses of pairs and groups of sequences, against numbers of PyTorch in float64 (tests/golden/README.md, loss) and
// against finite differences.
#include "grpo/algo/preference_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "algo/golden_arrays.h"
#include "grpo/algo/packed.h"
#include "grpo/algo/policy_loss.h"
#include "grpo/base/error.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::algo {
namespace {

using ::testing::HasSubstr;

// Where parts of these lengths begin, one behind the other, and where the last one ends.
std::vector<int64_t> offsets_of(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> offsets = {0};
  for (const int64_t length : lengths) offsets.push_back(offsets.back() + length);
  return offsets;
}

// Groups of sequences, all of whose numbers are known.
struct Groups {
  std::vector<int64_t> rollouts, groups;
  std::vector<float> values;
  at::Tensor log_probs, reference;

  PreferenceLoss operator()(const PreferenceConfig& config) const { return at(config, log_probs); }
  PreferenceLoss at(const PreferenceConfig& config, const at::Tensor& now) const {
    return preference_loss(config, {.log_probs = now,
                                    .rollout_offsets = rollouts,
                                    .reference = reference,
                                    .values = values,
                                    .group_offsets = groups});
  }
};

struct GoldenCase {
  explicit GoldenCase(const nlohmann::json& json)
      : loss(json.at("loss")), terms(golden_array(json.at("terms"))), grad(golden_array(json.at("grad"))) {
    of.rollouts = offsets_of(json.at("lengths"));
    of.groups = offsets_of(json.at("groups"));
    of.values = json.at("values").get<std::vector<float>>();
    of.log_probs = golden_array(json.at("log_probs")).requires_grad_();
    if (json.at("reference").get<bool>())
      of.reference = sum_per_rollout(golden_array(json.at("reference_log_probs")), of.rollouts);
    config = {.kind = loss == "ipo" ? Preference::kIpo : Preference::kSigmoid,
              .beta = json.value("beta", 1.0),
              .label_smoothing = json.value("label_smoothing", 0.0),
              .length_normalised = json.at("length_normalised")};
  }
  std::string loss;
  Groups of;
  PreferenceConfig config;
  at::Tensor terms, grad;
};

std::vector<nlohmann::json> golden_cases() {
  return testing::read_golden_json(testing::golden_section("loss") / "preference_losses.json").at("cases");
}

// 1e-12: both are float64, and sums of at most 40 numbers.
TEST(GoldenPreference, LossesAndGradientsAgreeInDouble) {
  int64_t compared = 0;
  for (const auto& json : golden_cases()) {
    SCOPED_TRACE(json.at("name").get<std::string>());
    const GoldenCase golden(json);
    if (golden.loss == "pair") continue;  // it is a loss of tokens, which is tested below
    const auto terms = golden.of(golden.config).terms;
    EXPECT_LE(relative_difference(terms.detach(), golden.terms), 1e-12);
    terms.mean().backward();
    EXPECT_LE(relative_difference(golden.of.log_probs.grad(), golden.grad), 1e-12);
    ++compared;
  }
  EXPECT_EQ(compared, 10);
}

// Numbers of TRL's DPOTrainer. Its rewards are those of whole sequences, whatever the loss compares.
TEST(GoldenPreference, LossesGradientsAndMetricsAreThoseOfTrl) {
  int64_t compared = 0;
  for (const auto& json : golden_cases()) {
    if (!json.contains("trl")) continue;
    SCOPED_TRACE(json.at("name").get<std::string>());
    const auto& expected = json.at("trl");
    const GoldenCase golden(json);
    const auto found = golden.of(golden.config);
    const auto loss = found.terms.mean();
    EXPECT_NEAR(loss.item<double>(), expected.at("loss").get<double>(), 1e-12);
    loss.backward();
    EXPECT_LE(relative_difference(golden.of.log_probs.grad(), golden_array(expected.at("grad"))), 1e-12);
    for (const auto& [name, value] : expected.at("metrics").items())
      EXPECT_NEAR(measured(found.measures, name) / 5.0, value.get<double>(), 1e-6) << name;  // one is of float
    ++compared;
  }
  EXPECT_EQ(compared, 4);
}

// The sum over tokens, scaled by 1 / pairs, is the mean over pairs.
TEST(GoldenPreference, ThePairLossOfTokensIsTheMeanOverPairs) {
  const GoldenCase golden(golden_cases().front());
  ASSERT_EQ(golden.loss, "pair");
  const auto advantages = at::tensor(golden.of.values, at::kDouble) * 0.7;  // their size does not matter
  const auto terms = policy_loss({.loss = Loss::kPair}, {.log_probs = golden.of.log_probs,
                                                         .old_log_probs = golden.of.log_probs.detach(),
                                                         .advantages = per_token(advantages, golden.of.rollouts),
                                                         .rollout_offsets = golden.of.rollouts})
                         .terms;
  const auto loss = terms.sum() / golden.terms.numel();
  EXPECT_NEAR(loss.item<double>(), golden.terms.mean().item<double>(), 1e-12);
  loss.backward();
  EXPECT_LE(relative_difference(golden.of.log_probs.grad(), golden.grad), 1e-12);
}

// A model gives float32 log-probs. Sums are in double all the same.
TEST(GoldenPreference, LogProbsMayBeFloat) {
  for (const auto& json : golden_cases()) {
    const GoldenCase golden(json);
    if (golden.loss == "pair") continue;
    const auto log_probs = golden.of.log_probs.detach().to(at::kFloat).requires_grad_();
    const auto terms = golden.of.at(golden.config, log_probs).terms;
    EXPECT_EQ(terms.scalar_type(), at::kDouble);
    EXPECT_LE(relative_difference(terms.detach(), golden.terms), 1e-5) << golden.loss;
    terms.mean().backward();
    EXPECT_LE(relative_difference(log_probs.grad().to(at::kDouble), golden.grad), 1e-5) << golden.loss;
  }
}

// Central differences with a step of 1e-5, whose own error is about 1e-9.
TEST(PreferenceLoss, GradientIsThatOfFiniteDifferences) {
  for (const auto& json : golden_cases()) {
    const GoldenCase golden(json);
    if (golden.loss == "pair") continue;
    golden.of(golden.config).terms.sum().backward();
    const at::NoGradGuard no_grad;
    for (int64_t t = 0; t < golden.of.log_probs.numel(); t += 3) {
      const auto moved = [&](double by) {
        auto log_probs = golden.of.log_probs.detach().clone();
        log_probs[t] += by;
        return golden.of.at(golden.config, log_probs).terms.sum().item<double>();
      };
      EXPECT_NEAR(golden.of.log_probs.grad()[t].item<double>(), (moved(1e-5) - moved(-1e-5)) / 2e-5, 1e-7);
    }
  }
}

Groups one_pair(const std::vector<double>& better, const std::vector<double>& worse) {
  auto all = better;
  all.insert(all.end(), worse.begin(), worse.end());
  const auto end = static_cast<int64_t>(better.size());
  return {.rollouts = {0, end, end + static_cast<int64_t>(worse.size())},
          .groups = {0, 2},
          .values = {1.0f, -1.0f},
          .log_probs = at::tensor(all, at::kDouble).requires_grad_(),
          .reference = {}};
}

// arXiv 2510.00977: a pair's advantages are +1 and -1, and on the policy that sampled GRPO's gradient is that of the
// pair loss. With the mean over rollouts of the sums over tokens the factor is 1: 1 / (2 pairs) is half of 1 / pairs.
TEST(PreferenceLoss, PairIsWhatGrpoIsOnThePolicyThatSampled) {
  const auto pair = one_pair({-0.5, -0.25, -1.0}, {-2.0, -0.125});
  const auto gradient = [&](Loss loss, double scale) {
    const auto log_probs = pair.log_probs.detach().clone().requires_grad_();
    const auto terms =
        policy_loss({.loss = loss}, {.log_probs = log_probs,
                                     .old_log_probs = log_probs.detach(),
                                     .advantages = per_token(at::tensor({1.0, -1.0}, at::kDouble), pair.rollouts),
                                     .rollout_offsets = pair.rollouts})
            .terms;
    (terms.sum() * scale).backward();
    return log_probs.grad();
  };
  const double pairs = 1.0;
  EXPECT_TRUE(gradient(Loss::kPair, 1.0 / pairs).equal(gradient(Loss::kClip, 1.0 / (2.0 * pairs))));
}

TEST(PreferenceLoss, OfTwoSequencesInfoNceIsTheLogisticLoss) {
  auto pair = one_pair({-0.5, -0.25}, {-2.0, -0.125, -1.0});
  const PreferenceConfig config{.beta = 1.5, .length_normalised = true};
  const double margin = 1.5 * (-0.75 / 2.0 + 3.125 / 3.0);
  EXPECT_NEAR(pair(config).terms.item<double>(), std::log1p(std::exp(-margin)), 1e-14);
  // A third sequence, as bad as the worst but so unlikely that it has no share, changes nothing.
  pair.rollouts.push_back(6);
  pair.groups = {0, 3};
  pair.values.push_back(-1.0f);
  pair.log_probs = at::tensor({-0.5, -0.25, -2.0, -0.125, -1.0, -1000.0}, at::kDouble);
  EXPECT_NEAR(pair(config).terms.item<double>(), std::log1p(std::exp(-margin)), 1e-14);
}

TEST(PreferenceLoss, SaturatesWithoutOverflow) {
  for (const double far : {1e3, 1e5}) {
    for (const double side : {1.0, -1.0}) {
      const auto pair = one_pair({side > 0 ? -1.0 : -far}, {side > 0 ? -far : -1.0});
      const auto terms = pair({.beta = 10.0}).terms;
      EXPECT_NEAR(terms.item<double>(), side > 0 ? 0.0 : 10.0 * (far - 1.0), 1e-6 * far);
      terms.sum().backward();
      EXPECT_NEAR(pair.log_probs.grad()[0].item<double>(), side > 0 ? 0.0 : -10.0, 1e-9);
    }
  }
}

TEST(PreferenceLoss, MeasuresTheBestAndTheWorstOfEachGroup) {
  auto pair = one_pair({-0.5, -0.25}, {-2.0});
  pair.reference = at::tensor({-1.0, -1.5}, at::kDouble);
  const auto measures = pair({.beta = 2.0}).measures;
  const std::map<std::string, double> expected = {
      {"margin/mean", 0.75},    {"margin/accuracy", 1.0},    {"rewards/chosen", 0.5}, {"rewards/rejected", -1.0},
      {"rewards/margins", 1.5}, {"rewards/accuracies", 1.0}, {"logps/chosen", -0.75}, {"logps/rejected", -2.0}};
  EXPECT_EQ(measures.size(), expected.size());
  for (const auto& measure : measures) {
    EXPECT_EQ(measure.fold, Fold::kGroupMean);
    EXPECT_NEAR(measure.value.item<double>(), expected.at(measure.name), 1e-14) << measure.name;
  }
  pair.reference = at::Tensor();
  EXPECT_EQ(pair({.beta = 2.0}).measures.size(), 2u);
}

TEST(PreferenceLoss, OfNoGroupIsNothing) {
  const Groups none{.rollouts = {0}, .groups = {0}, .values = {}, .log_probs = at::empty({0}), .reference = {}};
  for (const auto kind : {Preference::kSigmoid, Preference::kIpo}) {
    const auto loss = none({.kind = kind});
    EXPECT_EQ(loss.terms.sum().item<double>(), 0.0);
    EXPECT_EQ(measured(loss.measures, "margin/mean"), 0.0);
  }
}

TEST(PreferenceLoss, WhatCannotBeComparedIsAnError) {
  auto pair = one_pair({-0.5}, {-2.0});
  pair.values = {1.0f, 1.0f};
  EXPECT_THROW(pair({}), std::logic_error);
  Groups three{.rollouts = {0, 1, 2, 3},
               .groups = {0, 3},
               .values = {1.0f, 0.0f, 0.0f},
               .log_probs = at::tensor({-1.0, -2.0, -3.0}, at::kDouble),
               .reference = {}};
  EXPECT_THROW(three({.kind = Preference::kIpo}), std::logic_error);
  EXPECT_THROW(three({.label_smoothing = 0.1}), std::logic_error);
  EXPECT_THAT(
      testing::message_of<base::ConfigError>([] { validate({.kind = Preference::kIpo, .label_smoothing = 0.1}); }),
      HasSubstr("label_smoothing"));
  EXPECT_THROW(policy_loss({.loss = Loss::kPairLogistic}, {.log_probs = at::empty({0}),
                                                           .old_log_probs = at::empty({0}),
                                                           .advantages = at::empty({0}),
                                                           .rollout_offsets = {0}}),
               std::logic_error);
}

}  // namespace
}  // namespace grpo::algo
