#include "trainer/preferences.h"

#include <algorithm>

#include "grpo/base/error.h"
#include "trainer/group_sizes.h"
#include "trainer/live_rollouts.h"

namespace grpo::trainer {
namespace {

std::vector<std::vector<size_t>> groups_of(const std::vector<Rollout>& rollouts, const std::vector<size_t>& chosen) {
  std::vector<std::vector<size_t>> groups;
  for (const size_t i : chosen) {
    if (groups.empty() || rollouts[groups.back().front()].prompt != rollouts[i].prompt) groups.emplace_back();
    groups.back().push_back(i);
  }
  return groups;
}

std::vector<Preferred> preferences_of_group(const TrainConfig& config, const std::vector<Rollout>& rollouts,
                                            const std::vector<size_t>& group) {
  const int64_t first = first_compared(config.rollout, static_cast<int64_t>(group.size()));
  std::vector<Preferred> all;
  for (const size_t i : group) {
    if (rollouts[i].sample < first || !counts_in_loss(config.algorithm, rollouts[i])) continue;
    all.push_back({i, static_cast<float>(rollouts[i].advantage)});
  }
  if (all.empty()) return {};
  const auto less = [](const Preferred& a, const Preferred& b) { return a.value < b.value; };
  const auto best = std::max_element(all.begin(), all.end(), less);
  const auto worst = std::min_element(all.begin(), all.end(), less);
  if (best->value == worst->value) return {};
  if (algo::compares_sequences(config.algorithm.policy.loss) && config.algorithm.method == MethodKind::kGrpo)
    return all;
  const Preferred better{best->rollout, 1.0f}, worse{worst->rollout, -1.0f};
  return better.rollout < worse.rollout ? std::vector{better, worse}
                                        : std::vector{worse, better};  // in the order of the batch
}

std::string what_prefers(const AlgorithmConfig& algorithm) {
  if (algorithm.method == MethodKind::kDpo) return "algorithm.method: dpo";
  if (algorithm.method == MethodKind::kOnlineDpo) return "algorithm.method: online_dpo";
  return algorithm.policy.loss == algo::Loss::kPair ? "algorithm.loss: pair" : "algorithm.loss: pair_logistic";
}

}  // namespace

std::vector<Preferred> preferences_of(const TrainConfig& config, const std::vector<Rollout>& rollouts,
                                      const std::vector<size_t>& chosen) {
  std::vector<Preferred> all;
  for (const auto& group : groups_of(rollouts, chosen)) {
    const auto some = preferences_of_group(config, rollouts, group);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

double scale_of_groups(const TrainConfig& config, const std::vector<Rollout>& rollouts,
                       const std::vector<size_t>& chosen) {
  const auto groups = groups_of(rollouts, chosen);
  const bool all = config.algorithm.denominator == algo::DenominatorScope::kAll;
  const auto count = std::count_if(groups.begin(), groups.end(), [&](const auto& group) {
    return all || !preferences_of_group(config, rollouts, group).empty();
  });
  return count > 0 ? 1.0 / static_cast<double>(count) : 0.0;
}

void validate_preferences(const TrainConfig& config) {
  const AlgorithmConfig& algorithm = config.algorithm;
  algo::validate(algorithm.dpo);
  if (!prefers(algorithm)) return;
  const std::string what = what_prefers(algorithm);
  const auto refuse = [&](const std::string& other, const std::string& why) {
    throw base::ConfigError(base::concat(what, " does not go with ", other, ": ", why));
  };
  if (kl_in_loss(algorithm) > 0.0) refuse("algorithm.kl.coef in the loss", "its loss has no term of a token's");
  if (algorithm.entropy_coef > 0.0) refuse("algorithm.entropy_coef", "its loss has no term of a token's");
  if (algorithm.negative_tokens == NegativeTokens::kFiltered)
    refuse("algorithm.negative_tokens: filtered", "completions are compared whole");
  if (algorithm.method == MethodKind::kDpo) {
    if (algorithm.kl.sync_every)
      refuse("algorithm.kl.sync_every", "the reference's log-probs are computed once, before the first step");
    return;
  }
  const int64_t smallest = first_size(config.rollout), largest = largest_size(config.rollout);
  if (largest == 1) refuse("rollout.group_size: 1", "there is nothing to compare a completion with");
  if (algorithm.method == MethodKind::kGrpo && algorithm.policy.loss == algo::Loss::kPair &&
      (smallest != 2 || largest != 2))
    refuse(base::concat("groups of ", smallest == 2 ? largest : smallest),
           "it is of two completions; set rollout.group_size: 2, or use loss pair_logistic or method online_dpo");
}

}  // namespace grpo::trainer
