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

/// What crosses the ranks in one collective: one piece of memory with the parameters in it. Each rank owns an equal
/// shard; the end is padding.
struct Bucket {
  int64_t layer = -1;
  std::vector<Piece> pieces;  // whole parameters, offsets in the bucket
  std::vector<Piece> owned;   // this rank's parts of them, offsets in its shard
  int64_t shard = 0;          // elements of one shard; the bucket has as many shards as there are ranks
};

/// Where a parameter lies.
struct Placement {
  const void* memory = nullptr;  // tells pieces of memory apart
  int64_t memory_size = 0;       // its elements
  int64_t offset = 0;            // the parameter's first
  int64_t size = 0;
  int64_t layer = -1;
};

/// A bucket for each piece of memory, in the order in which gradients become complete: the last layer's first, then
/// what belongs to no layer. The same on every rank.
std::vector<Bucket> make_buckets(const std::vector<Placement>& parameters, int64_t rank, int64_t ranks);

}  // namespace grpo::optim
