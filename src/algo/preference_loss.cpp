#include "grpo/algo/preference_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "algo/indices.h"
#include "grpo/algo/packed.h"
#include "grpo/base/error.h"

namespace grpo::algo {
namespace {

// Which rollouts are compared with which. They are named by their indices.
struct Comparisons {
  std::vector<int64_t> best, worst;         // [K] the first best and the first worst of each group
  std::vector<int64_t> better;              // [A] all that are better than at least one other of their group
  std::vector<std::vector<int64_t>> worse;  // [A] the others that each of `better` is better than
  std::vector<int64_t> offsets = {0};       // [K + 1] where the entries of each group begin in `better` and `worse`
  int64_t largest = 0;                      // the number of rollouts of the largest group
};

void compare_group(const std::vector<float>& values, int64_t first, int64_t last, Comparisons& all) {
  const auto begin = values.begin() + first, end = values.begin() + last;
  all.best.push_back(std::max_element(begin, end) - values.begin());
  all.worst.push_back(std::min_element(begin, end) - values.begin());
  for (int64_t i = first; i < last; ++i) {
    std::vector<int64_t> worse;
    for (int64_t j = first; j < last; ++j) {
      if (values[static_cast<size_t>(j)] < values[static_cast<size_t>(i)]) worse.push_back(j);
    }
    if (worse.empty()) continue;
    all.better.push_back(i);
    all.worse.push_back(std::move(worse));
  }
  GRPO_CHECK(static_cast<int64_t>(all.better.size()) > all.offsets.back(), "a group without a difference");
  all.offsets.push_back(static_cast<int64_t>(all.better.size()));
  all.largest = std::max(all.largest, last - first);
}

Comparisons compare(const PreferenceInputs& inputs) {
  GRPO_CHECK(inputs.group_offsets.back() == static_cast<int64_t>(inputs.values.size()) &&
                 inputs.values.size() + 1 == inputs.rollout_offsets.size(),
             inputs.values.size(), " values, groups ", inputs.group_offsets, ", rollouts ", inputs.rollout_offsets);
  Comparisons all;
  for (size_t k = 0; k + 1 < inputs.group_offsets.size(); ++k)
    compare_group(inputs.values, inputs.group_offsets[k], inputs.group_offsets[k + 1], all);
  return all;
}

// The InfoNCE terms of preference_loss.h: minus the log of the share that a better rollout has in the softmax over
// itself and the ones it is better than, and the mean of these for each group. z is beta times the score.
at::Tensor info_nce(const at::Tensor& z, const Comparisons& all) {
  size_t width = 0;
  for (const auto& worse : all.worse) width = std::max(width, worse.size());
  std::vector<int64_t> others;
  std::vector<int64_t> absent;  // 1 where a row of `others` is only filled up to the common width
  for (const auto& worse : all.worse) {
    others.insert(others.end(), worse.begin(), worse.end());
    others.resize(others.size() + width - worse.size(), 0);
    absent.resize(absent.size() + worse.size(), 0);
    absent.resize(absent.size() + width - worse.size(), 1);
  }
  const auto count = static_cast<int64_t>(all.better.size());
  const auto rows = [&](const std::vector<int64_t>& flat) {
    return indices_on(z.device(), flat).view({count, static_cast<int64_t>(width)});
  };
  const auto ahead = (z.index_select(0, indices_on(z.device(), others)).view({count, static_cast<int64_t>(width)}) -
                      z.index_select(0, indices_on(z.device(), all.better)).unsqueeze(1))
                         .masked_fill(rows(absent).to(at::kBool), -std::numeric_limits<double>::infinity());
  const auto terms = at::logsumexp(at::cat({at::zeros({count, 1}, z.options()), ahead}, 1), {1});
  const auto counts = tokens_per_rollout({}, all.offsets, z.device());
  return sum_per_rollout(terms, all.offsets) / counts;
}

at::Tensor sigmoid_of_pairs(const at::Tensor& margin, double smoothing) {
  return -(1.0 - smoothing) * at::log_sigmoid(margin) - smoothing * at::log_sigmoid(-margin);
}

at::Tensor terms_of(const PreferenceConfig& config, const at::Tensor& scores, const at::Tensor& margin,
                    const Comparisons& all) {
  const bool pairs = all.largest <= 2;
  GRPO_CHECK(pairs || (config.kind == Preference::kSigmoid && config.label_smoothing == 0.0), "a group of ",
             all.largest, " where pairs are compared");
  if (config.kind == Preference::kIpo) return (margin - 1.0 / (2.0 * config.beta)).square();
  if (pairs) return sigmoid_of_pairs(config.beta * margin, config.label_smoothing);
  return info_nce(config.beta * scores, all);
}

struct Chosen {
  at::Tensor best, worst;  // [K]
};

Chosen chosen(const at::Tensor& values, const Comparisons& all) {
  return {values.index_select(0, indices_on(values.device(), all.best)),
          values.index_select(0, indices_on(values.device(), all.worst))};
}

std::vector<Measure> margins(const std::string& mean, const std::string& share, const at::Tensor& margin) {
  return {{mean, Fold::kGroupMean, margin.sum()}, {share, Fold::kGroupMean, (margin > 0).sum()}};
}

// rewards: beta (log pi - log pi_ref) of whole sequences; sums: their log pi.
std::vector<Measure> measures_of_rewards(const Chosen& rewards, const Chosen& sums) {
  auto measures = margins("rewards/margins", "rewards/accuracies", rewards.best - rewards.worst);
  measures.insert(measures.end(), {{"rewards/chosen", Fold::kGroupMean, rewards.best.sum()},
                                   {"rewards/rejected", Fold::kGroupMean, rewards.worst.sum()},
                                   {"logps/chosen", Fold::kGroupMean, sums.best.sum()},
                                   {"logps/rejected", Fold::kGroupMean, sums.worst.sum()}});
  return measures;
}

}  // namespace

std::vector<std::string> enum_names(Preference) { return {"sigmoid", "ipo"}; }

void validate(const PreferenceConfig& config) {
  if (config.kind == Preference::kSigmoid || config.label_smoothing == 0.0) return;
  throw base::ConfigError("algorithm.dpo.label_smoothing: kind ipo has none; set it to 0, or use kind: sigmoid");
}

PreferenceLoss preference_loss(const PreferenceConfig& config, const PreferenceInputs& inputs) {
  const auto all = compare(inputs);
  const auto sums = sum_per_rollout(inputs.log_probs.to(at::kDouble), inputs.rollout_offsets);
  const bool relative = inputs.reference.defined();
  const auto whole = relative ? sums - inputs.reference.detach() : sums;
  const auto lengths = tokens_per_rollout({}, inputs.rollout_offsets, sums.device()).clamp_min(1);
  const auto scores = config.length_normalised ? whole / lengths : whole;
  const auto compared = chosen(scores, all);
  const auto margin = compared.best - compared.worst;
  PreferenceLoss out{.terms = terms_of(config, scores, margin, all),
                     .measures = margins("margin/mean", "margin/accuracy", margin.detach())};
  if (!relative) return out;
  const auto of_rewards = measures_of_rewards(chosen(config.beta * whole.detach(), all), chosen(sums.detach(), all));
  out.measures.insert(out.measures.end(), of_rewards.begin(), of_rewards.end());
  return out;
}

}  // namespace grpo::algo
