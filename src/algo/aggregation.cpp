#include "grpo/algo/aggregation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>

#include <array>

#include "grpo/algo/packed.h"
#include "grpo/base/error.h"

namespace grpo::algo {
namespace {

double inverse(double denominator) { return denominator > 0.0 ? 1.0 / denominator : 0.0; }

double token_mean(const Denominators& d) { return inverse(d.tokens); }
double seq_mean(const Denominators& d) { return inverse(d.rollouts); }
double seq_mean_norm(const Denominators& d) {
  GRPO_CHECK(d.max_new_tokens > 0.0, "seq_mean_token_sum_norm needs max_new_tokens, got ", d.max_new_tokens);
  return inverse(d.rollouts * d.max_new_tokens);
}

struct AggregationRow {
  const char* name;
  double (*scale)(const Denominators&);  // of the sum over tokens, or over rollouts of token means
  bool means_over_tokens;                // divide each rollout by its own counted tokens first
};

// The rows are in the order of the enumerators.
constexpr std::array<AggregationRow, 4> kAggregations = {{{"token_mean", token_mean, false},
                                                          {"seq_mean_token_mean", seq_mean, true},
                                                          {"seq_mean_token_sum", seq_mean, false},
                                                          {"seq_mean_token_sum_norm", seq_mean_norm, false}}};

// 1 / |o| for every token, where |o| is the number of counted tokens of its rollout.
at::Tensor inverse_lengths(at::IntArrayRef rollout_offsets) {
  const auto lengths = tokens_per_rollout({}, rollout_offsets);
  return per_token(lengths.clamp_min(1).reciprocal(), rollout_offsets).to(at::kFloat);
}

}  // namespace

std::vector<std::string> enum_names(Aggregation) {
  std::vector<std::string> names;
  for (const AggregationRow& row : kAggregations) names.emplace_back(row.name);
  return names;
}
std::vector<std::string> enum_names(DenominatorScope) { return {"all", "live"}; }
std::vector<std::string> enum_names(EmptyRows) { return {"count", "skip"}; }

Denominators count_denominators(const std::vector<RolloutCount>& rollouts, DenominatorScope scope,
                                EmptyRows empty_rows) {
  Denominators sums;
  for (const RolloutCount& rollout : rollouts) {
    if (scope == DenominatorScope::kLive && !rollout.live) continue;
    sums.tokens += static_cast<double>(rollout.tokens);
    if (rollout.tokens > 0 || empty_rows == EmptyRows::kCount) sums.rollouts += 1.0;
  }
  return sums;
}

double loss_scale(Aggregation aggregation, const Denominators& denominators) {
  return kAggregations.at(static_cast<size_t>(aggregation)).scale(denominators);
}

at::Tensor token_weights(at::IntArrayRef rollout_offsets, Aggregation aggregation, double scale) {
  const bool means = kAggregations.at(static_cast<size_t>(aggregation)).means_over_tokens;
  return (means ? inverse_lengths(rollout_offsets) : at::ones({rollout_offsets.back()}, at::kFloat)) * scale;
}

}  // namespace grpo::algo
