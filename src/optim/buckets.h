#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace grpo::optim {

/// Elements [begin, begin + size) of one flattened parameter, and where they lie in their bucket or shard.
struct Piece {
  size_t parameter = 0;
  int64_t begin = 0;
  int64_t size = 0;
  int64_t offset = 0;
};

/// What crosses the ranks in one collective. Each rank owns an equal shard of it; the end is padding.
struct Bucket {
  std::vector<Piece> pieces;  // of all ranks, offsets in the bucket
  std::vector<Piece> owned;   // of this rank, offsets in its shard
  int64_t shard = 0;          // elements of one shard; the bucket has as many shards as there are ranks
};

/// Lays parameters of these numbers of elements one after the other into buckets of at most max_elements (a large
/// parameter into several), the same on every rank.
std::vector<Bucket> make_buckets(const std::vector<int64_t>& sizes, int64_t rank, int64_t ranks, int64_t max_elements);

}  // namespace grpo::optim
