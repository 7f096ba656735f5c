#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "grpo/dist/communicator.h"
#include "optim/buckets.h"

namespace grpo::optim {

/// The working weights of the buckets if ranks divide them. Each rank has its shard. The whole lies in the parameters'
/// own memory, which is freed and filled again while the parameters and all their views stay valid. Autograd's version
/// counters do not see these writes, and need not: a gathered weight has the values that the graph saved.
class ShardedWeights {
 public:
  /// keep_shards: this rank keeps its shards, so that the whole can be freed; otherwise a shard exists only from
  /// own() to the end of the gather. The parameters' memory is extended to the length of all shards; frozen weights
  /// that lie in it are gathered as well.
  ShardedWeights(const std::vector<Bucket>& buckets, const std::vector<at::Tensor>& parameters,
                 dist::Communicator& communicator, bool keep_shards);

  /// This rank's shard, [shard], for the caller to write. The whole then counts as out of date.
  at::Tensor& own(size_t bucket);

  /// Starts to gather the whole, which is a collective. Does nothing if the whole is up to date or already on its way.
  void start_gather(size_t bucket);
  /// Waits until the whole is gathered. REQUIRES: start_gather was called.
  void finish_gather(size_t bucket);
  /// Frees the memory of the whole. REQUIRES: keep_shards.
  void release(size_t bucket);

 private:
  /// This rank's part of the whole, as a view.
  at::Tensor own_part(size_t bucket) const;

  enum class State { kOld, kUnderWay, kWhole };
  struct Entry {
    at::Tensor whole;  // [ranks * shard], a view of the parameters' memory with a version counter of its own
    at::Tensor own;    // [shard]; undefined if this rank keeps no shard now
    State state = State::kWhole;
    std::unique_ptr<dist::Pending> pending;
  };

  const std::vector<Bucket>& buckets_;
  dist::Communicator& communicator_;
  bool keep_shards_;
  std::vector<Entry> entries_;
};

}  // namespace grpo::optim
