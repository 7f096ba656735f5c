// Losses and gradients against TRL's GRPOTrainer._compute_loss (tests/golden/README.md, loss).
// Tolerances, relative to the largest expected value: 1e-9 in double against loss_f64 / grad_f64, 2e-6 in float against
// loss / grad, 1e-6 for metrics. The mapping of names:
//   loss_type grpo -> seq_mean_token_mean, bnpo and dapo -> token_mean, dr_grpo -> seq_mean_token_sum_norm,
//   cispo -> token_mean of loss cispo with bounds [0, epsilon_high]; importance_sampling_level sequence -> gspo, whose
//   straight-through gradient equals TRL's where all tokens of a rollout share one advantage; delta -> dual_clip, which
//   is the same function for delta >= 1 + epsilon_high; beta -> k3 added per token.
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "algo/golden_arrays.h"
#include "grpo/algo/aggregation.h"
#include "grpo/algo/kl.h"
#include "grpo/algo/policy_loss.h"
#include "support/golden.h"

namespace grpo::algo {
namespace {

std::optional<double> number_or_null(const nlohmann::json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

// One variant of TRL's loss in the words of this project. `unmapped` says why it has no counterpart here.
struct Variant {
  explicit Variant(const nlohmann::json& json)
      : type(json.at("loss_type")), beta(json.at("beta")), max_length(json.at("max_completion_length")) {
    sequence = json.at("importance_sampling_level") == "sequence";
    loss.clip_low = json.at("epsilon");
    loss.clip_high = json.at("epsilon_high");
    loss.dual_clip = number_or_null(json.at("delta"));
    if (sequence) loss.loss = Loss::kGspo;
    if (type == "cispo") {
      loss.loss = Loss::kCispo;
      loss.clip_high -= 1.0;
      loss.clip_low = 1.0;
    }
    aggregation = type == "grpo"      ? Aggregation::kSeqMeanTokenMean
                  : type == "dr_grpo" ? Aggregation::kSeqMeanTokenSumNorm
                                      : Aggregation::kTokenMean;
    if (type != "grpo" && type != "bnpo" && type != "dr_grpo" && type != "dapo" && type != "cispo")
      unmapped = "loss_type " + type;
    if (type == "cispo" && (sequence || loss.dual_clip)) unmapped = "cispo with sequence level or delta";
    if (loss.dual_clip && *loss.dual_clip < 1.0 + loss.clip_high) unmapped = "delta below 1 + epsilon_high";
  }

  std::string type;
  double beta;
  double max_length;
  bool sequence = false;
  PolicyLossConfig loss;
  Aggregation aggregation = Aggregation::kTokenMean;
  std::string unmapped;
};

struct Case {
  Case(const nlohmann::json& json, at::ScalarType dtype, bool counted_only)
      : rows(json, counted_only), num_items(json.at("num_items_in_batch")), num_rows(rows.row_mask().size(0)) {
    log_probs = rows.pack(golden_array(json.at("logprobs")).to(dtype)).requires_grad_();
    old = rows.pack(golden_array(json.at("old_logprobs")).to(dtype));
    reference = rows.pack(golden_array(json.at("ref_logprobs")).to(dtype));
    advantages = rows.pack(golden_array(json.at("advantages")).to(dtype));
  }

  PolicyLossInputs inputs() const {
    return {.log_probs = log_probs,
            .old_log_probs = old,
            .advantages = advantages,
            .rollout_offsets = rows.offsets(),
            .mask = rows.mask()};
  }

  at::Tensor loss(const Variant& variant) const {
    auto terms = policy_loss(variant.loss, inputs()).terms;
    if (variant.beta != 0.0) terms = terms + variant.beta * kl_penalty(log_probs, reference, KlEstimator::kK3);
    const bool global_count = variant.type == "dapo" || variant.type == "cispo";
    return weighted_loss(terms, rows.offsets(), variant.aggregation,
                         {.tokens = global_count ? num_items : rows.tokens(),
                          .rollouts = static_cast<double>(num_rows),
                          .max_new_tokens = variant.max_length},
                         rows.mask());
  }

  // The clipped tokens, with these advantages, as a share of all counted tokens.
  double clipped_share(const Variant& variant, const at::Tensor& some_advantages) const {
    auto in = inputs();
    in.advantages = some_advantages;
    return measured(policy_loss(variant.loss, in).measures, "clip_fraction") / rows.tokens();
  }

  // The same as a share of sequences, which TRL counts at sequence level.
  double clipped_sequences(const Variant& variant, const at::Tensor& some_advantages) const {
    double clipped = 0.0;
    for (int64_t i = 0; i < num_rows; ++i) {
      const int64_t begin = rows.offsets()[static_cast<size_t>(i)], end = rows.offsets()[static_cast<size_t>(i) + 1];
      const std::vector<int64_t> offsets = {0, end - begin};
      const auto part = [&](const at::Tensor& t) { return t.defined() ? t.slice(0, begin, end) : t; };
      const auto one = policy_loss(variant.loss, {.log_probs = part(log_probs),
                                                  .old_log_probs = part(old),
                                                  .advantages = part(some_advantages),
                                                  .rollout_offsets = offsets,
                                                  .mask = part(rows.mask())});
      clipped += measured(one.measures, "clip_fraction") > 0.0 ? 1.0 : 0.0;
    }
    return clipped / static_cast<double>(num_rows);
  }

  PackedRows rows;
  at::Tensor log_probs, old, reference, advantages;
  double num_items;
  int64_t num_rows;
};

template <typename Body>
void for_each_variant(const char* what, const Body& body) {
  Tally tally(what);
  const auto file = testing::read_golden_json(testing::golden_section("loss") / "trl_losses.json");
  for (const auto& json : file.at("cases")) {
    for (const auto& expected : json.at("variants")) {
      const Variant variant(expected);
      if (!variant.unmapped.empty()) {
        tally.not_mapped(variant.unmapped);
        continue;
      }
      SCOPED_TRACE(json.at("name").get<std::string>() + " " + expected.dump().substr(0, 160));
      body(json, expected, variant);
      tally.compared();
    }
  }
  EXPECT_GT(tally.num_compared(), 0);
}

void expect_loss_and_gradient(const Case& golden, const Variant& variant, double expected_loss,
                              const at::Tensor& expected_grad, double tolerance) {
  const auto loss = golden.loss(variant);
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), expected_loss, tolerance * (1.0 + std::abs(expected_loss)));
  const auto gradient = golden.rows.unpack(golden.log_probs.grad());
  EXPECT_LE(relative_difference(gradient, expected_grad), tolerance);
  EXPECT_EQ(gradient.masked_select(~golden.rows.row_mask()).abs().sum().item<double>(), 0.0);
}

TEST(GoldenTrl, LossesAndGradientsAgreeInDouble) {
  for_each_variant("trl_losses.json in double", [](const auto& json, const auto& expected, const Variant& variant) {
    for (const bool counted_only : {false, true}) {
      expect_loss_and_gradient(Case(json, at::kDouble, counted_only), variant, expected.at("loss_f64"),
                               golden_array(expected.at("grad_f64")), 1e-9);
    }
  });
}

TEST(GoldenTrl, LossesAndGradientsAgreeInFloat) {
  for_each_variant("trl_losses.json in float", [](const auto& json, const auto& expected, const Variant& variant) {
    for (const bool counted_only : {false, true}) {
      expect_loss_and_gradient(Case(json, at::kFloat, counted_only), variant, expected.at("loss"),
                               golden_array(expected.at("grad")), 2e-6);
    }
  });
}

TEST(GoldenTrl, MetricsAgree) {
  for_each_variant("trl_losses.json metrics", [](const auto& json, const auto& expected, const Variant& variant) {
    const Case golden(json, at::kFloat, false);
    const auto& metrics = expected.at("metrics");
    if (variant.type == "cispo") {
      // TRL counts the clipped weights of positive advantages only.
      auto in = golden.inputs();
      in.mask = in.mask & (in.advantages > 0);
      EXPECT_NEAR(measured(policy_loss(variant.loss, in).measures, "clip_fraction") / golden.rows.tokens(),
                  metrics.at("cispo_clip_ratio").template get<double>(), 1e-6);
    } else {
      const auto share = [&](const at::Tensor& advantages) {
        return variant.sequence ? golden.clipped_sequences(variant, advantages)
                                : golden.clipped_share(variant, advantages);
      };
      EXPECT_NEAR(share(golden.advantages), metrics.at("clip_ratio/region_mean").template get<double>(), 1e-6);
      EXPECT_NEAR(share(golden.advantages.clamp_max(0)), metrics.at("clip_ratio/low_mean").template get<double>(),
                  1e-6);
      EXPECT_NEAR(share(golden.advantages.clamp_min(0)), metrics.at("clip_ratio/high_mean").template get<double>(),
                  1e-6);
    }
    if (variant.beta != 0.0) {
      const auto kl =
          kl_penalty(golden.log_probs, golden.reference, KlEstimator::kK3).masked_select(golden.rows.mask());
      EXPECT_NEAR(kl.mean().template item<double>(), metrics.at("kl").template get<double>(), 1e-6);
    }
  });
}

}  // namespace
}  // namespace grpo::algo
