// Policy losses, aggregation modes and KL penalties against verl's core_algos (tests/golden/README.md, loss).
// Tolerance 1e-5 relative to the largest expected value (README: some values are large), 1e-6 for the clip fractions.
// verl leaves rows without a token out of sequence means: empty_rows skip. actor/ppo_kl is a metric that this project
// does not report.
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "algo/golden_arrays.h"
#include "grpo/algo/aggregation.h"
#include "grpo/algo/kl.h"
#include "grpo/algo/policy_loss.h"
#include "support/golden.h"

namespace grpo::algo {
namespace {

const std::map<std::string, Loss> kLosses = {{"vanilla", Loss::kClip}, {"gspo", Loss::kGspo}};
const std::map<std::string, Aggregation> kAggregations = {
    {"token-mean", Aggregation::kTokenMean},
    {"seq-mean-token-sum", Aggregation::kSeqMeanTokenSum},
    {"seq-mean-token-mean", Aggregation::kSeqMeanTokenMean},
    {"seq-mean-token-sum-norm", Aggregation::kSeqMeanTokenSumNorm}};
const std::map<std::string, KlEstimator> kEstimators = {
    {"kl", KlEstimator::kK1}, {"abs", KlEstimator::kAbs}, {"mse", KlEstimator::kK2}, {"low_var_kl", KlEstimator::kK3}};

nlohmann::json cases() {
  return testing::read_golden_json(testing::golden_section("loss") / "verl_losses.json").at("cases");
}

Denominators denominators(const PackedRows& rows) {
  std::vector<RolloutCount> counts;
  for (int64_t i = 0; i < rows.row_mask().size(0); ++i)
    counts.push_back({.tokens = rows.row_mask()[i].sum().item<int64_t>()});
  auto sums = count_denominators(counts, DenominatorScope::kAll, EmptyRows::kSkip);
  sums.max_new_tokens = static_cast<double>(rows.row_mask().size(1));
  return sums;
}

void expect_variant(const nlohmann::json& json, const nlohmann::json& expected, bool counted_only) {
  const PackedRows rows(json, counted_only);
  const auto log_probs = rows.pack(golden_array(json.at("logprobs"))).requires_grad_();
  PolicyLossConfig config{.loss = kLosses.at(expected.at("policy_loss"))};
  config.clip_low = expected.at("clip_ratio_low");
  config.clip_high = expected.at("clip_ratio_high");
  if (!expected.at("clip_ratio_c").is_null()) config.dual_clip = expected.at("clip_ratio_c").get<double>();
  const auto policy = policy_loss(config, {.log_probs = log_probs,
                                           .old_log_probs = rows.pack(golden_array(json.at("old_logprobs"))),
                                           .advantages = rows.pack(golden_array(json.at("advantages"))),
                                           .rollout_offsets = rows.offsets(),
                                           .mask = rows.mask()});
  const auto loss = weighted_loss(policy.terms, rows.offsets(), kAggregations.at(expected.at("loss_agg_mode")),
                                  denominators(rows), rows.mask());
  loss.backward();
  const double value = expected.at("loss");
  EXPECT_NEAR(loss.item<double>(), value, 1e-5 * (1.0 + std::abs(value)));
  EXPECT_LE(relative_difference(rows.unpack(log_probs.grad()), golden_array(expected.at("grad"))), 1e-5);
  const auto& metrics = expected.at("metrics");
  EXPECT_NEAR(measured(policy.measures, "clip_fraction") / rows.tokens(), metrics.at("actor/pg_clipfrac").get<double>(),
              1e-6);
  EXPECT_NEAR(measured(policy.measures, "clip_fraction/dual") / rows.tokens(),
              metrics.at("actor/pg_clipfrac_lower").get<double>(), 1e-6);
}

TEST(GoldenVerl, PolicyLossesAndGradientsAgree) {
  Tally tally("verl_losses.json policy losses");
  for (const auto& json : cases()) {
    for (const auto& expected : json.at("variants")) {
      SCOPED_TRACE(json.at("name").get<std::string>() + " " + expected.dump().substr(0, 160));
      if (!kLosses.contains(expected.at("policy_loss")) || !kAggregations.contains(expected.at("loss_agg_mode"))) {
        tally.not_mapped(expected.at("policy_loss").get<std::string>() + " " +
                         expected.at("loss_agg_mode").get<std::string>());
        continue;
      }
      for (const bool counted_only : {false, true}) expect_variant(json, expected, counted_only);
      tally.compared();
    }
  }
  EXPECT_GT(tally.num_compared(), 0);
}

TEST(GoldenVerl, KlPenaltiesAndGradientsAgree) {
  Tally tally("verl_losses.json kl_penalty");
  for (const auto& json : cases()) {
    const PackedRows rows(json, true);
    const auto reference = rows.pack(golden_array(json.at("ref_logprobs")));
    for (const auto& [name, expected] : json.at("kl_penalty").items()) {
      SCOPED_TRACE(json.at("name").get<std::string>() + " " + name);
      const auto expected_terms = rows.pack(golden_array(expected.at("per_token")));
      if (!kEstimators.contains(name)) {
        tally.not_mapped(name);
        continue;
      }
      if ((expected_terms.abs() > 10.0).any().item<bool>()) {  // verl clamps its k3 only
        tally.not_mapped(name + " beyond 10");
        continue;
      }
      const auto log_probs = rows.pack(golden_array(json.at("logprobs"))).requires_grad_();
      const auto terms = kl_penalty(log_probs, reference, kEstimators.at(name));
      const auto mean = terms.sum() / rows.tokens();
      mean.backward();
      EXPECT_LE(relative_difference(terms, expected_terms), 1e-5);
      EXPECT_NEAR(mean.item<double>(), expected.at("token_mean").get<double>(), 1e-5);
      EXPECT_LE(relative_difference(rows.unpack(log_probs.grad()), golden_array(expected.at("grad_token_mean"))), 1e-5);
      tally.compared();
    }
  }
  EXPECT_GT(tally.num_compared(), 0);
}

}  // namespace
}  // namespace grpo::algo
