#include "trainer/expected_demand.h"

#include <gtest/gtest.h>

namespace grpo::trainer {
namespace {

std::vector<Prompt> prompts_of(const std::vector<size_t>& lengths) {
  std::vector<Prompt> prompts;
  for (const size_t length : lengths) {
    prompts.emplace_back();
    prompts.back().ids.resize(length, 1);
  }
  return prompts;
}

TrainConfig config_of(int64_t max_new_tokens) {
  TrainConfig config;
  config.rollout.prompts_per_step = 8;
  config.rollout.group_size = 4;
  config.rollout.max_new_tokens = max_new_tokens;
  return config;
}

TEST(ExpectedDemand, IsOfTheLongestPromptWithAWholeCompletion) {
  const auto demand = expected_demand(config_of(100), prompts_of({3, 50, 20}), {}, /*cuda=*/true);
  EXPECT_EQ(demand.longest, 150);
  EXPECT_EQ(demand.sequences, 32);
}

TEST(ExpectedDemand, CoversEvaluationsWithLongerPromptsOrCompletions) {
  auto config = config_of(100);
  config.rollout.max_sequences.value = 77;
  const std::vector<EvalSet> sets = {{"a", prompts_of({60})}, {"b", prompts_of({10})}};
  auto demand = expected_demand(config, prompts_of({50}), sets, true);
  EXPECT_EQ(demand.longest, 160);
  EXPECT_EQ(demand.sequences, 77);  // every slot
  config.eval.max_new_tokens = 500;
  EXPECT_EQ(expected_demand(config, prompts_of({50}), sets, true).longest, 560);
  config.eval.max_new_tokens = 5;
  EXPECT_EQ(expected_demand(config, prompts_of({50}), sets, true).longest, 150);
}

}  // namespace
}  // namespace grpo::trainer
