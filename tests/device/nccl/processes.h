#pragma once

#include <nccl.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "device/nccl/stream_threads.h"

namespace grpo::device_nccl {

/// A test's rank in a process of its own: what it is and has.
struct Rank {
  int rank = 0, size = 0;
  ncclUniqueId id = {};
  ncclComm_t comm = nullptr;
  StreamThread stream;

  void join() { need(ncclCommInitRank(&comm, size, id, rank) == ncclSuccess, ncclGetLastError(nullptr)); }
  ncclResult_t error() const;
  /// Waits until the communicator's error is that, for so long.
  void wait_for_error(ncclResult_t expected, double seconds = 20.0) const;
  /// Waits until all work is done, for a minute.
  void finish();
  /// Ends the process's part of the test as failed.
  static void need(bool holds, const std::string& what);
};

struct Outcome {
  std::vector<int> codes;          // by rank: exit code, 128 + signal
  std::vector<std::string> texts;  // what it wrote to stderr
};

/// Runs the body in `size` processes, which are killed after a minute and a half. joined: with a communicator of all.
Outcome in_processes(int size, const std::function<void(Rank&)>& body, bool joined = true);

/// As in_processes, for bodies that have to succeed on every rank.
void expect_success(int size, const std::function<void(Rank&)>& body, bool joined = true);

}  // namespace grpo::device_nccl
