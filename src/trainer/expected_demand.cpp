#include "trainer/expected_demand.h"

#include <algorithm>

#include "trainer/group_sizes.h"
#include "trainer/memory_plan.h"

namespace grpo::trainer {
namespace {

int64_t longest_of(const std::vector<Prompt>& prompts) {
  size_t longest = 0;
  for (const Prompt& prompt : prompts) longest = std::max(longest, prompt.ids.size());
  return static_cast<int64_t>(longest);
}

}  // namespace

rollout::Demand expected_demand(const TrainConfig& config, const std::vector<Prompt>& prompts,
                                const std::vector<EvalSet>& eval_sets, bool cuda) {
  const RolloutConfig& rollout = config.rollout;
  rollout::Demand demand{.longest = longest_of(prompts) + rollout.max_new_tokens, .sequences = most_together(rollout)};
  const int64_t evaluated = config.eval.max_new_tokens.value_or(rollout.max_new_tokens);
  for (const EvalSet& set : eval_sets) demand.longest = std::max(demand.longest, longest_of(set.prompts) + evaluated);
  if (!eval_sets.empty())
    demand.sequences = std::max(demand.sequences, decoded_together(rollout, cuda));  // an evaluation fills every slot
  return demand;
}

}  // namespace grpo::trainer
