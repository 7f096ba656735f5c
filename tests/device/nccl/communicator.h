#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "device/nccl/segment.h"

namespace grpo::device_nccl {

/// Thrown inside an operation when the communicator has been aborted or nobody came within the bound: the stream goes
/// on.
struct Stopped {};

/// One rank of a clique. Functions that wait give up when the communicator is aborted, and after GRPO_NCCL_WAIT_S
/// seconds (600 when unset), which real NCCL would not.
class Communicator {
 public:
  Communicator(std::string name, int ranks, int rank);
  ~Communicator();

  /// Takes the seat and, where `all`, waits until everybody has come. Failures become the communicator's error too.
  void join(bool all);

  int ranks() const { return ranks_; }
  int rank() const { return rank_; }
  const std::string& name() const { return name_; }
  Segment& segment() const { return *segment_; }

  /// Waits until the condition holds, for a rank that is late for ever. When a rank is gone meanwhile the error is set,
  /// and the wait goes on: as on a GPU, where the host sees an error while the kernel still spins, until somebody
  /// aborts. With GRPO_NCCL_GONE=hang nobody tells, which is how NCCL behaves between GPUs of one machine.
  void wait_until(const std::function<bool()>& condition, const std::string& what);

  /// Waits for all ranks at the same meeting. REQUIRES: one thread of the process at a time.
  void meet_on_stream(const std::string& what) { meet(segment_->on_streams(), on_stream_, what); }
  void meet_on_host(const std::string& what) { meet(segment_->on_hosts(), on_host_, what); }

  /// Calls the function, unless aborted, and catches Stopped.
  void run(const std::function<void()>& operations);
  /// Ends all waits, and returns when none runs.
  void abort();
  bool aborted() const { return aborted_; }
  /// ncclInProgress until joined.
  ncclResult_t error() const { return error_; }
  void set_error(ncclResult_t error, const std::string& what);
  std::string last_error() const;

 private:
  void meet(Meeting& meeting, uint64_t& number, const std::string& what);
  void look_for_the_gone(const std::string& what);

  const std::string name_;
  const int ranks_, rank_;
  std::unique_ptr<Segment> segment_;
  uint64_t on_stream_ = 0, on_host_ = 0;
  std::atomic<bool> aborted_ = false;
  std::atomic<int> running_ = 0;
  std::atomic<ncclResult_t> error_ = ncclInProgress;
  mutable std::mutex mutex_;
  std::string last_error_;
};

}  // namespace grpo::device_nccl
