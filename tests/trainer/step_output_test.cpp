#include "trainer/step_output.h"

#include <gmock/gmock.h>

namespace grpo::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// One step of one group; the fields that matter are set by each test.
std::string line(int64_t live, int64_t trained_tokens, bool applied) {
  StepResult result;
  result.batch.prompts.resize(1);
  result.batch.rollouts.resize(2);
  result.batch.group_offsets = {0, 2};
  result.stats.groups_live = live;
  result.stats.update.tokens = trained_tokens;
  result.stats.update.applied = applied;
  result.stats.update.figures = {{"entropy", algo::Fold::kMean, 1.0}};
  return summary_of(result, 1, 2, 1.0, 1.0);
}

// With KL or entropy in the loss a step of tied groups moves the weights.
TEST(StepLine, SaysNoUpdateOnlyWhereThereWasNone) {
  EXPECT_THAT(line(0, 10, true), Not(HasSubstr("update")));
  EXPECT_THAT(line(1, 10, true), Not(HasSubstr("update")));
  EXPECT_THAT(line(0, 0, false), HasSubstr("(no live group: no update)"));
}

TEST(StepLine, TellsAMaskedStepFromANumericalFailure) {
  EXPECT_THAT(line(1, 0, false), HasSubstr("masked: no update"));
  EXPECT_THAT(line(1, 10, false), HasSubstr("gradient not finite"));
  EXPECT_THAT(line(0, 10, false), HasSubstr("gradient not finite"));
}

TEST(StepLine, CountsTheHiddenPartOfAnUpdateInItsSpeed) {
  StepStats stats;
  stats.update.tokens = 100;
  stats.update_s = 1.0;
  EXPECT_EQ(update_tokens_per_s(stats), 100.0);
  stats.update_hidden_s = 4.0;
  EXPECT_EQ(update_tokens_per_s(stats), 20.0);
}

}  // namespace
}  // namespace grpo::trainer
