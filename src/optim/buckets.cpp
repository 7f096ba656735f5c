#include "optim/buckets.h"

#include <algorithm>
#include <map>

#include "grpo/base/error.h"

namespace grpo::optim {
namespace {

// Shards of kLarge elements or more are a multiple of kAlignment elements, so that vectorized code finds them aligned.
constexpr int64_t kAlignment = 64;
constexpr int64_t kLarge = 4096;

int64_t shard_of(int64_t elements, int64_t ranks) {
  const int64_t shard = (elements + ranks - 1) / ranks;
  return shard < kLarge ? shard : (shard + kAlignment - 1) / kAlignment * kAlignment;
}

// The parts of the bucket's parameters that lie in this rank's shard.
std::vector<Piece> pieces_of_shard(const Bucket& bucket, int64_t rank) {
  const int64_t first = rank * bucket.shard;
  const int64_t last = first + bucket.shard;
  std::vector<Piece> owned;
  for (const Piece& piece : bucket.pieces) {
    const int64_t begin = std::max(piece.offset, first);
    const int64_t end = std::min(piece.offset + piece.size, last);
    if (begin >= end) continue;
    owned.push_back({piece.parameter, begin - piece.offset, end - begin, begin - first});
  }
  return owned;
}

}  // namespace

std::vector<Bucket> make_buckets(const std::vector<Placement>& parameters, int64_t rank, int64_t ranks) {
  GRPO_CHECK(rank >= 0 && rank < ranks, "rank ", rank, " of ", ranks);
  std::vector<Bucket> buckets;
  std::map<const void*, size_t> known;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Placement& placed = parameters[i];
    const auto [found, is_new] = known.emplace(placed.memory, buckets.size());
    if (is_new)
      buckets.push_back(
          {.layer = placed.layer, .pieces = {}, .owned = {}, .shard = shard_of(placed.memory_size, ranks)});
    Bucket& bucket = buckets[found->second];
    GRPO_CHECK(bucket.layer == placed.layer, "layers ", bucket.layer, " and ", placed.layer, " share memory");
    bucket.pieces.push_back({i, 0, placed.size, placed.offset});
  }
  for (Bucket& bucket : buckets) bucket.owned = pieces_of_shard(bucket, rank);
  std::stable_sort(buckets.begin(), buckets.end(), [](const Bucket& a, const Bucket& b) { return a.layer > b.layer; });
  return buckets;
}

}  // namespace grpo::optim
