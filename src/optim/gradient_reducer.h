#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <memory>
#include <vector>

#include "grpo/dist/communicator.h"
#include "optim/buckets.h"

namespace grpo::optim {

/// Adds up the gradients of one optimizer update over backward passes and ranks, one bucket at a time and while other
/// work goes on. In each reduction every rank starts every bucket once, all in the same order.
class GradientReducer {
 public:
  enum class Result { kWhole, kOwnShard };
  struct Options {
    dist::Communicator* communicator = nullptr;
    Result result = Result::kWhole;
    // Reduce every pass over the ranks and add up the results; otherwise add up this rank's
    // passes and reduce their sum once.
    bool every_pass = false;
    at::ScalarType dtype = at::kFloat;  // the dtype in which gradients are sent
  };

  /// `parameters` are indexed by Piece::parameter; the reducer takes their .grad. The buckets and the parameters'
  /// tensors must outlive the reducer.
  GradientReducer(const std::vector<Bucket>& buckets, std::vector<at::Tensor> parameters, const Options& options);

  /// Adds every .grad to this rank's fp32 sums and drops it; the .grad of an fp32 parameter stays, since it is the sum
  /// itself. Not to be called with every_pass.
  void accumulate();

  /// Starts to reduce a bucket whose gradients are complete. First waits for earlier buckets,
  /// so that only few are under way.
  void start(size_t bucket);
  /// Starts all buckets that have not been started, in order.
  void start_rest();
  /// Ends a pass and waits for its reductions; with every_pass each bucket may then be started again.
  void end_pass();

  /// Whether any bucket has been started since the last clear() or end_pass().
  bool has_started() const;
  /// Starts the remaining buckets and waits for all. Returns for each bucket the fp32 sum over passes and ranks: all of
  /// it, [ranks * shard], with kWhole, or this rank's shard of it, [shard], with kOwnShard.
  const std::vector<at::Tensor>& finish();
  /// What finish() returned last.
  const std::vector<at::Tensor>& results() const { return results_; }
  void clear();

 private:
  struct Underway {
    size_t bucket = 0;
    at::Tensor sent;  // [ranks * shard]
    at::Tensor own;   // [shard] fp32; undefined if `sent` is reduced in place
    std::unique_ptr<dist::Pending> pending;
  };

  void fold(size_t bucket);
  at::Tensor take(size_t bucket);
  bool in_place() const { return options_.result == Result::kWhole && options_.dtype == at::kFloat; }
  void wait_until_at_most(size_t under_way);
  void gather_narrow_sums();

  const std::vector<Bucket>& buckets_;
  std::vector<at::Tensor> parameters_;
  Options options_;
  std::vector<at::Tensor> sums_;     // this rank's sum of each bucket, [ranks * shard] fp32; undefined if there is none
  std::vector<at::Tensor> results_;  // by bucket, as finish() returns them
  std::vector<bool> started_;
  std::deque<Underway> under_way_;
};

}  // namespace grpo::optim
