#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "grpo/dist/communicator.h"
#include "optim/buckets.h"

namespace grpo::optim {

/// The working weights of the buckets when ranks split them: a rank's shard, and the whole in the parameters' own
/// memory, which is freed and filled again while the parameters and all views of them stay what they are. Memory is
/// written past autograd's version counters: what a graph has saved is the same weights, gathered again.
class ShardedWeights {
 public:
  /// keep_shards: a rank's shards stay, so that the whole can be freed; otherwise they exist during a gather.
  /// The parameters' memory must belong to the buckets alone; it is made as long as the shards together.
  ShardedWeights(const std::vector<Bucket>& buckets, const std::vector<at::Tensor>& parameters,
                 dist::Communicator& communicator, bool keep_shards);

  /// This rank's shard [shard], to be written; the whole counts as old from then on.
  at::Tensor& own(size_t bucket);

  /// Does nothing where the whole is there, or on its way. A collective otherwise.
  void start_gather(size_t bucket);
  /// Returns when the whole is there. REQUIRES: start_gather.
  void finish_gather(size_t bucket);
  /// Frees the whole. REQUIRES: keep_shards.
  void release(size_t bucket);

 private:
  /// This rank's part of the whole.
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
