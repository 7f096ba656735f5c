#include "optim/buckets.h"

#include <gtest/gtest.h>

namespace grpo::optim {
namespace {

const int kMemory[4] = {};

// An embedding, two layers of two parameters with a gap between them, a norm.
std::vector<Placement> placements() {
  return {{&kMemory[0], 35, 0, 35, -1}, {&kMemory[1], 20, 0, 7, 0},  {&kMemory[1], 20, 8, 12, 0},
          {&kMemory[2], 20, 0, 7, 1},   {&kMemory[2], 20, 8, 12, 1}, {&kMemory[3], 1, 0, 1, -1}};
}

TEST(Buckets, ComeInTheOrderOfTheBackwardPassAndHoldWhatSharesMemory) {
  const auto buckets = make_buckets(placements(), 0, 3);
  std::vector<int64_t> layers;
  std::vector<std::vector<size_t>> parameters;
  for (const Bucket& bucket : buckets) {
    layers.push_back(bucket.layer);
    auto& held = parameters.emplace_back();
    for (const Piece& piece : bucket.pieces) held.push_back(piece.parameter);
  }
  EXPECT_EQ(layers, (std::vector<int64_t>{1, 0, -1, -1}));
  EXPECT_EQ(parameters, (std::vector<std::vector<size_t>>{{3, 4}, {1, 2}, {0}, {5}}));
  EXPECT_EQ(buckets[0].pieces[1].offset, 8);
  EXPECT_EQ(buckets[0].shard, 7);  // of 20
  EXPECT_EQ(buckets[3].shard, 1);  // of 1: two ranks own padding
}

// Each element has exactly one owner, where its place in the bucket says.
TEST(Buckets, GiveEveryElementToOneRank) {
  const auto given = placements();
  for (const int64_t ranks : {1, 2, 3, 5}) {
    std::vector<std::vector<int>> owners;
    for (const Placement& placed : given) owners.emplace_back(placed.size, 0);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      for (const Bucket& bucket : make_buckets(given, rank, ranks)) {
        for (const Piece& piece : bucket.owned) {
          EXPECT_LE(piece.offset + piece.size, bucket.shard);
          EXPECT_EQ(rank * bucket.shard + piece.offset, given[piece.parameter].offset + piece.begin);
          for (int64_t i = 0; i < piece.size; ++i) ++owners[piece.parameter][static_cast<size_t>(piece.begin + i)];
        }
      }
    }
    for (const auto& counts : owners) {
      for (const int count : counts) EXPECT_EQ(count, 1) << ranks << " ranks";
    }
  }
}

TEST(Buckets, BeginLargeShardsWhereVectorCodeLikesIt) {
  EXPECT_EQ(make_buckets({{&kMemory[0], 100001, 0, 100001, -1}}, 0, 3)[0].shard % 64, 0);
}

}  // namespace
}  // namespace grpo::optim
