#include "optim/sharded_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <cstring>

#include "grpo/base/error.h"

namespace grpo::optim {
namespace {

// Gives the tensor's storage memory of this many elements. Tensors and views that share it
// stay valid; its contents are lost.
void allocate(const at::Tensor& tensor, int64_t elements) {
  auto* storage = tensor.storage().unsafeGetStorageImpl();
  const auto bytes = static_cast<size_t>(elements) * tensor.element_size();
  if (storage->nbytes() == bytes) return;
  GRPO_CHECK(storage->allocator() != nullptr, "a parameter's memory is not its own");
  storage->set_data_ptr_noswap(storage->allocator()->allocate(bytes));
  storage->set_nbytes(bytes);
}

// All of a parameter's memory, extended to `elements`, as a flat tensor that does not share
// the parameter's version counter.
at::Tensor flat_memory(const at::Tensor& parameter, int64_t elements) {
  const auto options = parameter.options().requires_grad(false);
  const auto have = static_cast<int64_t>(parameter.storage().nbytes() / parameter.element_size());
  const auto flat = at::empty({0}, options);
  if (have != elements) {
    const auto old = at::empty({0}, options).set_(parameter.storage(), 0, {have}).clone();
    allocate(parameter, elements);
    flat.set_(parameter.storage(), 0, {elements}).zero_();
    flat.narrow(0, 0, have).copy_(old);
  }
  return flat.set_(parameter.storage(), 0, {elements});
}

}  // namespace

ShardedWeights::ShardedWeights(const std::vector<Bucket>& buckets, const std::vector<at::Tensor>& parameters,
                               dist::Communicator& communicator, bool keep_shards)
    : buckets_(buckets), communicator_(communicator), keep_shards_(keep_shards) {
  for (const Bucket& bucket : buckets) {
    Entry entry;
    entry.whole = flat_memory(parameters[bucket.pieces[0].parameter], bucket.shard * communicator.size());
    entries_.push_back(std::move(entry));
    if (keep_shards) entries_.back().own = own_part(entries_.size() - 1).clone();
  }
}

at::Tensor ShardedWeights::own_part(size_t bucket) const {
  const int64_t shard = buckets_[bucket].shard;
  return entries_[bucket].whole.narrow(0, communicator_.rank() * shard, shard);
}

at::Tensor& ShardedWeights::own(size_t bucket) {
  Entry& entry = entries_[bucket];
  GRPO_CHECK(entry.state != State::kUnderWay, "bucket ", bucket, " is written while it is gathered");
  // A copy, because between the parameters that are updated the shard may contain frozen weights.
  if (!entry.own.defined()) entry.own = own_part(bucket).clone();
  entry.state = State::kOld;
  return entry.own;
}

void ShardedWeights::start_gather(size_t bucket) {
  Entry& entry = entries_[bucket];
  if (entry.state != State::kOld) return;
  allocate(entry.whole, entry.whole.numel());
  entry.pending = communicator_.start_all_gather_into(entry.whole, entry.own);
  entry.state = State::kUnderWay;
}

void ShardedWeights::finish_gather(size_t bucket) {
  Entry& entry = entries_[bucket];
  GRPO_CHECK(entry.state != State::kOld, "bucket ", bucket, " is not being gathered");
  if (entry.state == State::kWhole) return;
  entry.pending->wait();
  entry.pending.reset();
  if (!keep_shards_) entry.own.reset();
  entry.state = State::kWhole;
}

void ShardedWeights::release(size_t bucket) {
  Entry& entry = entries_[bucket];
  GRPO_CHECK(keep_shards_ && entry.state != State::kUnderWay, "bucket ", bucket, " cannot be freed");
  allocate(entry.whole, 0);
  entry.state = State::kOld;
}

}  // namespace grpo::optim
