#include "optim/buckets.h"

#include <algorithm>

#include "grpo/base/error.h"

namespace grpo::optim {
namespace {

int64_t elements(const Bucket& bucket) {
  return bucket.pieces.empty() ? 0 : bucket.pieces.back().offset + bucket.pieces.back().size;
}

// The part of each piece that lies in [first, first + shard) of the bucket.
std::vector<Piece> pieces_of_shard(const Bucket& bucket, int64_t rank) {
  const int64_t first = rank * bucket.shard;
  const int64_t last = first + bucket.shard;
  std::vector<Piece> owned;
  for (const Piece& piece : bucket.pieces) {
    const int64_t begin = std::max(piece.offset, first);
    const int64_t end = std::min(piece.offset + piece.size, last);
    if (begin >= end) continue;
    owned.push_back({piece.parameter, piece.begin + begin - piece.offset, end - begin, begin - first});
  }
  return owned;
}

}  // namespace

std::vector<Bucket> make_buckets(const std::vector<int64_t>& sizes, int64_t rank, int64_t ranks, int64_t max_elements) {
  GRPO_CHECK(rank >= 0 && rank < ranks && max_elements > 0, "rank ", rank, " of ", ranks, ", ", max_elements, " elements");
  std::vector<Bucket> buckets;
  for (size_t parameter = 0; parameter < sizes.size(); ++parameter) {
    for (int64_t begin = 0; begin < sizes[parameter];) {
      if (buckets.empty() || elements(buckets.back()) == max_elements) buckets.emplace_back();
      Bucket& bucket = buckets.back();
      const int64_t offset = elements(bucket);
      const int64_t size = std::min(sizes[parameter] - begin, max_elements - offset);
      bucket.pieces.push_back({parameter, begin, size, offset});
      begin += size;
    }
  }
  for (Bucket& bucket : buckets) {
    bucket.shard = (elements(bucket) + ranks - 1) / ranks;
    bucket.owned = pieces_of_shard(bucket, rank);
  }
  return buckets;
}

}  // namespace grpo::optim
