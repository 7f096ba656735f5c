#include "trainer/group_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/thread_ranks.h"
#include "trainer/gather_json.h"

namespace grpo::trainer {
namespace {

Rollout make_rollout(size_t prompt, int64_t length) {
  Rollout rollout{.prompt = prompt, .sample = 3, .completion = {}, .text = "\xff half", .score = {}, .advantage = 0.5};
  for (int64_t i = 0; i < length; ++i) {
    rollout.completion.ids.push_back(i * 1000);
    rollout.completion.log_probs.push_back(-0.1f * static_cast<float>(i + 1));
  }
  rollout.completion.finish_reason = rollout::FinishReason::kStop;
  rollout.score.reward = 0.1 + 0.2;
  rollout.score.verdict.kind = verifier::Verdict::Kind::kOverBudget;
  rollout.score.verdict.pred_parsed = "\xfe";
  return rollout;
}

TEST(GroupJson, ARolloutArrivesBitForBit) {
  const Rollout sent = make_rollout(0, 5);
  dist::run_ranks(2, [&](dist::Communicator& communicator) {
    const std::vector<Rollout> group{sent, make_rollout(0, communicator.rank())};  // rank 0's second one is empty
    const auto all = all_gather_json(to_json(group), communicator);
    ASSERT_EQ(all.size(), 2u);
    const auto theirs = group_from(all[1], 7);
    ASSERT_EQ(theirs.size(), 2u);
    const Rollout& got = theirs[0];
    EXPECT_EQ(got.prompt, 7u);
    EXPECT_EQ(got.sample, sent.sample);
    EXPECT_EQ(got.completion.ids, sent.completion.ids);
    EXPECT_EQ(got.completion.log_probs, sent.completion.log_probs);
    EXPECT_EQ(got.completion.finish_reason, sent.completion.finish_reason);
    EXPECT_EQ(got.text, sent.text);
    EXPECT_EQ(got.score.reward, sent.score.reward);
    EXPECT_EQ(got.score.verdict.kind, sent.score.verdict.kind);
    EXPECT_EQ(got.score.verdict.pred_parsed, sent.score.verdict.pred_parsed);
    EXPECT_EQ(theirs[1].completion.ids.size(), 1u);
  });
}

}  // namespace
}  // namespace grpo::trainer
