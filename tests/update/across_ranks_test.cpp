#include "update/across_ranks.h"

#include <gtest/gtest.h>

#include <set>

#include "support/thread_ranks.h"

namespace grpo::update {
namespace {

std::vector<Sequence> uneven_sequences() {
  std::vector<Sequence> sequences;
  for (const int64_t length : {900, 1, 800, 5, 5, 700, 600, 30})
    sequences.push_back(sequence_of({1, 2, 3}, std::vector<int64_t>(static_cast<size_t>(length), 7)));
  return sequences;
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

TEST(AcrossRanks, EachSequenceIsTrainedOnceAndNoRankHasMuchMore) {
  const auto sequences = uneven_sequences();
  for (const int64_t ranks : {1, 2, 4}) {
    std::multiset<size_t> trained;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      for (const size_t index : balanced_share(sequences, small_model(), rank, ranks)) trained.insert(index);
    }
    EXPECT_EQ(trained, (std::multiset<size_t>{0, 1, 2, 3, 4, 5, 6, 7})) << ranks;
  }
  // Of four ranks each gets one of the four long ones.
  for (int64_t rank = 0; rank < 4; ++rank) {
    int64_t longest = 0;
    for (const size_t index : balanced_share(sequences, small_model(), rank, 4))
      longest += sequences[index].ids.size() > 100 ? 1 : 0;
    EXPECT_EQ(longest, 1) << rank;
  }
}

TEST(AcrossRanks, MoreRanksThanSequencesLeavesSomeIdle) {
  auto sequences = uneven_sequences();
  sequences.resize(2);
  size_t idle = 0;
  for (int64_t rank = 0; rank < 4; ++rank) idle += balanced_share(sequences, small_model(), rank, 4).empty() ? 1 : 0;
  EXPECT_EQ(idle, 2u);
}

TEST(AcrossRanks, SumsOfAnUpdateAreThoseOfAllRanks) {
  dist::run_ranks(3, [](dist::Communicator& communicator) {
    const auto rank = static_cast<double>(communicator.rank());
    UpdateStats stats{.figures = {{"loss", algo::Fold::kSum, rank},
                                  {"ratio/max", algo::Fold::kMax, rank},
                                  {"entropy", algo::Fold::kMean, 1.0},
                                  {"kl/sampler", algo::Fold::kLargestMean, rank}},
                      .tokens = communicator.rank() + 1};
    reduce(stats, communicator);
    EXPECT_EQ(stats.tokens, 6);
    EXPECT_EQ(stats.figure("loss"), 3.0);
    EXPECT_EQ(stats.figure("ratio/max"), 2.0);
    EXPECT_EQ(stats.figure("entropy"), 3.0);
    EXPECT_EQ(stats.figure("kl/sampler"), 3.0);
  });
}

}  // namespace
}  // namespace grpo::update
