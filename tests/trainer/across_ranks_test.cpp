#include "trainer/across_ranks.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "support/thread_ranks.h"

namespace grpo::trainer {
namespace {

Rollout make_rollout(size_t prompt, int64_t length) {
  Rollout rollout{.prompt = prompt, .sample = 3, .completion = {}, .text = "\xff half", .score = {}, .advantage = 0.5, .old_log_probs = {}};
  for (int64_t i = 0; i < length; ++i) {
    rollout.completion.ids.push_back(i * 1000);
    rollout.completion.log_probs.push_back(-0.1f * static_cast<float>(i + 1));
  }
  rollout.completion.finish_reason = rollout::FinishReason::kStop;
  rollout.score.reward = 0.1 + 0.2;
  rollout.score.verdict.kind = reward::Verdict::Kind::kOverBudget;
  rollout.score.verdict.pred_parsed = "\xfe";
  return rollout;
}

TEST(AcrossRanks, ARolloutArrivesBitForBit) {
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

TEST(AcrossRanks, SharesOfPromptsCoverThemAll) {
  for (const int64_t ranks : {1, 2, 3, 7}) {
    std::vector<std::pair<size_t, size_t>> shares(static_cast<size_t>(ranks));
    dist::run_ranks(ranks, [&](dist::Communicator& communicator) {
      shares[static_cast<size_t>(communicator.rank())] = share_of(5, communicator);
    });
    size_t next = 0;
    for (const auto& [first, last] : shares) {
      EXPECT_EQ(first, next);
      next = last;
    }
    EXPECT_EQ(next, 5u);
  }
}

RolloutBatch uneven_batch() {
  RolloutBatch batch;
  batch.prompts.resize(1);
  batch.prompts[0].ids = {1, 2, 3};
  for (const int64_t length : {900, 1, 800, 5, 5, 5, 700, 600, 5, 30}) batch.rollouts.push_back(make_rollout(0, length));
  batch.group_offsets = {0, 10};
  return batch;
}

models::ModelConfig small_model() {
  models::ModelConfig model;
  model.num_layers = 2;
  model.num_heads = 2;
  model.num_kv_heads = 2;
  model.head_dim = 8;
  model.hidden_size = 16;
  model.intermediate_size = 32;
  model.vocab_size = 100;
  return model;
}

TEST(AcrossRanks, EachRolloutIsTrainedOnceAndNoRankHasMuchMore) {
  const auto batch = uneven_batch();
  const std::vector<size_t> live{0, 1, 2, 3, 5, 6, 7, 9};
  for (const int64_t ranks : {1, 2, 4}) {
    std::multiset<size_t> trained;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      for (const size_t index : balanced_share(batch, live, small_model(), rank, ranks)) trained.insert(index);
    }
    EXPECT_EQ(trained, std::multiset<size_t>(live.begin(), live.end())) << ranks;
  }
  // Of four ranks each gets one of the four long ones.
  for (int64_t rank = 0; rank < 4; ++rank) {
    int64_t longest = 0;
    for (const size_t index : balanced_share(batch, live, small_model(), rank, 4)) {
      longest += batch.rollouts[index].completion.ids.size() > 100 ? 1 : 0;
    }
    EXPECT_EQ(longest, 1) << rank;
  }
}

TEST(AcrossRanks, MoreRanksThanRolloutsLeavesSomeIdle) {
  const auto batch = uneven_batch();
  size_t idle = 0;
  for (int64_t rank = 0; rank < 4; ++rank) idle += balanced_share(batch, {0, 1}, small_model(), rank, 4).empty() ? 1 : 0;
  EXPECT_EQ(idle, 2u);
}

TEST(AcrossRanks, SumsOfAnUpdateAreThoseOfAllRanks) {
  dist::run_ranks(3, [](dist::Communicator& communicator) {
    const auto rank = static_cast<double>(communicator.rank());
    UpdateStats stats;
    stats.loss = rank;
    stats.tokens = communicator.rank() + 1;
    stats.ratio_max = rank;
    stats.entropy = 1.0;
    reduce(stats, communicator);
    EXPECT_EQ(stats.loss, 3.0);
    EXPECT_EQ(stats.tokens, 6);
    EXPECT_EQ(stats.ratio_max, 2.0);
    EXPECT_EQ(stats.entropy, 3.0);
  });
}

}  // namespace
}  // namespace grpo::trainer
