#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "grpo/dist/communicator.h"
#include "optim/buckets.h"

namespace grpo::optim {

/// The working weights of the buckets when ranks split them. Each rank has its shard, and the whole lies in the
/// parameters' own memory, which is freed and filled again while the parameters and all views of them stay valid. That
/// memory is written past autograd's version counters: what a graph has saved is the same weights, gathered again.
class ShardedWeights {
 public:
  /// keep_shards: a rank keeps its shards, so that the whole can be freed; otherwise shards exist during a gather only.
  /// The parameters' memory must hold nothing but the buckets; it is made as long as all shards together.
  ShardedWeights(const std::vector<Bucket>& buckets, const std::vector<at::Tensor>& parameters,
                 dist::Communicator& communicator, bool keep_shards);

  /// This rank's shard, [shard], to be written by the caller. From then on the whole counts as out of date.
  at::Tensor& own(size_t bucket);

  /// Starts to gather the whole; a collective. Does nothing where it is there already or on its way.
  void start_gather(size_t bucket);
  /// Waits until the whole is there. REQUIRES: start_gather was called.
  void finish_gather(size_t bucket);
  /// Frees the memory of the whole. REQUIRES: keep_shards.
  void release(size_t bucket);

 private:
  /// This rank's part of the memory of the whole.
  at::Tensor own_part(size_t bucket) const;

  enum class State { kOld, kUnderWay, kWhole };
  struct Entry {
    at::Tensor whole;  // [ranks * shard] on the parameters' memory, with a version counter of its own
    at::Tensor own;    // [shard]
    State state = State::kWhole;
    std::unique_ptr<dist::Pending> pending;
  };

  const std::vector<Bucket>& buckets_;
  dist::Communicator& communicator_;
  bool keep_shards_;
  std::vector<Entry> entries_;
};

}  // namespace grpo::optim
