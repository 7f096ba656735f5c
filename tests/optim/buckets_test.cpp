#include "optim/buckets.h"

#include <gtest/gtest.h>

namespace grpo::optim {
namespace {

// Each element of every parameter must be owned by one rank, once.
void expect_partition(const std::vector<int64_t>& sizes, int64_t ranks, int64_t max_elements) {
  std::vector<std::vector<int>> owners;
  for (const int64_t size : sizes) owners.emplace_back(static_cast<size_t>(size), 0);
  for (int64_t rank = 0; rank < ranks; ++rank) {
    for (const Bucket& bucket : make_buckets(sizes, rank, ranks, max_elements)) {
      EXPECT_LE(bucket.shard * ranks, max_elements + ranks - 1);
      for (const Piece& piece : bucket.owned) {
        EXPECT_LE(piece.offset + piece.size, bucket.shard);
        for (int64_t i = 0; i < piece.size; ++i) ++owners[piece.parameter][static_cast<size_t>(piece.begin + i)];
      }
    }
  }
  for (const auto& parameter : owners) {
    for (const int count : parameter) EXPECT_EQ(count, 1);
  }
}

TEST(Buckets, GiveEachElementToOneRank) {
  for (const int64_t ranks : {1, 2, 3, 4, 7}) {
    for (const int64_t max_elements : {1, 5, 16, 1000}) expect_partition({3, 1, 17, 40, 2, 9}, ranks, max_elements);
  }
}

TEST(Buckets, SplitALargeParameterAndKeepSmallOnesTogether) {
  const auto buckets = make_buckets({4, 4, 20}, 0, 2, 10);
  ASSERT_EQ(buckets.size(), 3u);
  EXPECT_EQ(buckets[0].pieces.size(), 3u);  // both small ones and two elements of the large one
  EXPECT_EQ(buckets[1].pieces.size(), 1u);
  EXPECT_EQ(buckets[1].pieces[0].begin, 2);
  EXPECT_EQ(buckets[2].pieces[0].size, 8);
}

TEST(Buckets, PiecesOfAShardSayWhereTheyBeginInTheirParameter) {
  const auto buckets = make_buckets({4, 6}, 1, 2, 100);
  ASSERT_EQ(buckets.size(), 1u);
  ASSERT_EQ(buckets[0].owned.size(), 1u);  // elements 5..9 of the bucket: 1..5 of the second parameter
  EXPECT_EQ(buckets[0].owned[0].parameter, 1u);
  EXPECT_EQ(buckets[0].owned[0].begin, 1);
  EXPECT_EQ(buckets[0].owned[0].offset, 0);
}

}  // namespace
}  // namespace grpo::optim
