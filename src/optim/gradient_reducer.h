#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <memory>
#include <vector>

#include "grpo/dist/communicator.h"
#include "optim/buckets.h"

namespace grpo::optim {

/// Adds up the gradients of one optimizer update over backward passes and ranks, one bucket at a time beside other
/// work. Every rank starts every bucket once in each reduction, all in the same order.
class GradientReducer {
 public:
  enum class Result { kWhole, kOwnShard };
  struct Options {
    dist::Communicator* communicator = nullptr;
    Result result = Result::kWhole;
    bool every_pass = false;  // the sums over ranks of each pass are added up, instead of the passes' sums reduced once
    at::ScalarType dtype = at::kFloat;  // in which gradients cross the ranks
  };

  /// parameters: in the numbering of the buckets; the reducer takes their .grad. Buckets and parameters must outlive
  /// it.
  GradientReducer(const std::vector<Bucket>& buckets, std::vector<at::Tensor> parameters, const Options& options);

  /// Adds what is in .grad to this rank's fp32 sums; for an fp32 parameter .grad is that sum itself. Not to be called
  /// with every_pass.
  void accumulate();

  /// Starts to reduce a bucket whose gradients are complete. Waits for earlier buckets so that only few are under way.
  void start(size_t bucket);
  /// Starts all buckets that have not been started, in order.
  void start_rest();
  /// Says that the pass is over; with every_pass each bucket may then be started again.
  void end_pass();

  /// Whether any bucket has been started in the reduction that is under way.
  bool has_started() const;
  /// Starts what is left and waits for everything. Returns for each bucket the fp32 sum over passes and ranks: all of
  /// it, [ranks * shard], or this rank's part, [shard].
  const std::vector<at::Tensor>& finish();
  /// What finish() returned last.
  const std::vector<at::Tensor>& results() const { return results_; }
  void clear();

 private:
  struct Underway {
    size_t bucket = 0;
    at::Tensor sent;  // [ranks * shard]
    at::Tensor own;   // [shard] fp32; undefined where `sent` is reduced in place
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
  std::vector<at::Tensor> sums_;     // by bucket, [ranks * shard] fp32: this rank's; undefined where there is none
  std::vector<at::Tensor> results_;  // by bucket
  std::vector<bool> started_;
  std::deque<Underway> under_way_;
};

}  // namespace grpo::optim
