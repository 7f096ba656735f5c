#include "update/micro_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "update/families.h"
#include "update/small_shape.h"

namespace grpo::update {
namespace {

using testing::small_shape;

// Sequences of a prompt of one token and so many targets.
std::vector<Sequence> sequences_of(const std::vector<int64_t>& lengths) {
  std::vector<Sequence> sequences;
  for (const int64_t length : lengths)
    sequences.push_back(sequence_of({1}, std::vector<int64_t>(static_cast<size_t>(length), 2)));
  return sequences;
}

std::vector<std::vector<size_t>> split(const std::vector<Sequence>& sequences, int64_t max_tokens,
                                       SharePrompts share = SharePrompts::kFalse) {
  std::vector<size_t> all(sequences.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return split_micro_batches(sequences, all, small_shape(), share, max_tokens);
}

TEST(MicroBatches, HoldEachSequenceOnceWithinTheirTokens) {
  const auto sequences = sequences_of({900, 1, 800, 5, 5, 5, 700, 600, 5, 30, 1200});
  for (const int64_t max_tokens : {1000, 1500, 100000}) {
    std::multiset<size_t> found;
    for (const auto& part : split(sequences, max_tokens)) {
      int64_t tokens = 0;
      for (const size_t index : part) {
        found.insert(index);
        tokens += packed_length(sequences[index]);
      }
      EXPECT_TRUE(tokens <= max_tokens || part.size() == 1) << tokens;
    }
    EXPECT_EQ(found, (std::multiset<size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  }
  EXPECT_EQ(split(sequences, 100000).size(), 1u);
  EXPECT_TRUE(split_micro_batches(sequences, {}, small_shape(), SharePrompts::kTrue, 10).empty());
}

// A long sequence is more work than its share of the tokens, so it has fewer short ones beside it.
TEST(MicroBatches, ShareTheWorkNotTheTokens) {
  std::vector<int64_t> lengths(100, 100);
  lengths.push_back(1000);
  const auto sequences = sequences_of(lengths);
  const auto parts = split(sequences, 8000);
  ASSERT_EQ(parts.size(), 2u);
  std::vector<double> work;
  for (const auto& part : parts) {
    work.push_back(0.0);
    for (const size_t index : part) work.back() += work_of(packed_length(sequences[index]), small_shape());
  }
  const auto with_long = std::find(parts[0].begin(), parts[0].end(), 100u) != parts[0].end() ? parts[0] : parts[1];
  EXPECT_LT(with_long.size(), 40u);  // if tokens were shared evenly it would have 45 short ones beside it
  EXPECT_LT(*std::max_element(work.begin(), work.end()), 1.1 * *std::min_element(work.begin(), work.end()));
}

}  // namespace
}  // namespace grpo::update
