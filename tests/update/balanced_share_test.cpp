#include "update/balanced_share.h"

#include <gtest/gtest.h>

#include <set>

#include "support/thread_ranks.h"
#include "update/small_shape.h"

namespace grpo::update {
namespace {

using testing::small_shape;

std::vector<Sequence> uneven_sequences() {
  std::vector<Sequence> sequences;
  for (const int64_t length : {900, 1, 800, 5, 5, 700, 600, 30})
    sequences.push_back(sequence_of({1, 2, 3}, std::vector<int64_t>(static_cast<size_t>(length), 7)));
  return sequences;
}

TEST(BalancedShare, EachSequenceIsTrainedOnceAndNoRankHasMuchMore) {
  const auto sequences = uneven_sequences();
  for (const int64_t ranks : {1, 2, 4}) {
    std::multiset<size_t> trained;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      for (const size_t index : balanced_share(sequences, small_shape(), SharePrompts::kFalse, rank, ranks))
        trained.insert(index);
    }
    EXPECT_EQ(trained, (std::multiset<size_t>{0, 1, 2, 3, 4, 5, 6, 7})) << ranks;
  }
  // With four ranks, each gets one of the four long sequences.
  for (int64_t rank = 0; rank < 4; ++rank) {
    int64_t longest = 0;
    for (const size_t index : balanced_share(sequences, small_shape(), SharePrompts::kFalse, rank, 4))
      longest += sequences[index].ids.size() > 100 ? 1 : 0;
    EXPECT_EQ(longest, 1) << rank;
  }
}

TEST(BalancedShare, MoreRanksThanSequencesLeavesSomeIdle) {
  auto sequences = uneven_sequences();
  sequences.resize(2);
  size_t idle = 0;
  for (int64_t rank = 0; rank < 4; ++rank)
    idle += balanced_share(sequences, small_shape(), SharePrompts::kFalse, rank, 4).empty() ? 1 : 0;
  EXPECT_EQ(idle, 2u);
}

}  // namespace
}  // namespace grpo::update
