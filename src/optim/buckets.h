#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace grpo::optim {

/// Elements [begin, begin + size) of one flattened parameter; `offset` is where they begin in their bucket or shard.
struct Piece {
  size_t parameter = 0;
  int64_t begin = 0;
  int64_t size = 0;
  int64_t offset = 0;
};

/// What one collective sends: a piece of memory with the parameters in it, padded at its end so that
/// every rank owns an equal shard.
struct Bucket {
  int64_t layer = -1;
  std::vector<Piece> pieces;  // whole parameters; offsets are in the bucket
  std::vector<Piece> owned;   // this rank's parts of the parameters; offsets are in its shard
  int64_t shard = 0;          // elements of a shard; the bucket has one shard per rank
};

/// Where a parameter lies in memory.
struct Placement {
  const void* memory = nullptr;  // equal for parameters that share a piece of memory
  int64_t memory_size = 0;       // in elements
  int64_t offset = 0;            // first element of the parameter in the memory
  int64_t size = 0;
  int64_t layer = -1;
};

/// Makes one bucket for each piece of memory, in the order in which gradients become complete: the last layer's bucket
/// first, then what belongs to no layer. The result is the same on every rank, apart from Bucket::owned.
std::vector<Bucket> make_buckets(const std::vector<Placement>& parameters, int64_t rank, int64_t ranks);

}  // namespace grpo::optim
