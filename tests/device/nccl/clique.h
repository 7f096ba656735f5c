#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "device/nccl/communicator.h"
#include "device/nccl/failure.h"
#include "device/nccl/streams.h"

// What the handle of the C interface points to, and the groups of calls.

struct ncclComm {
  std::shared_ptr<grpo::device_nccl::Communicator> ranks;
  grpo::device_nccl::StreamOrder order;
  std::mutex mutex;                                // of what follows
  std::vector<grpo::device_nccl::Factor> factors;  // operator ncclNumOps + i
  int children = 0;                                // splits and shrinks so far
  std::jthread joining;                            // of a communicator that does not block
};

namespace grpo::device_nccl {

/// Runs the body; what it throws becomes the result, and the text of ncclGetLastError.
template <typename Body>
ncclResult_t guarded(const Body& body);

const char* last_error_text();
void remember_error(const std::string& text);
/// The failure's code, after saying on stderr what it is: c10d tells the code alone.
ncclResult_t refuse(const Failure& failure);

/// Throws where the communicator cannot be used (now).
ncclComm& usable(ncclComm_t comm);

void begin_group();
bool in_group();
/// Puts what was called since the outermost begin onto its streams; with `forget` it is dropped.
void end_group(bool forget = false);

/// Puts the operation onto the stream, now or at the group's end. Throws Failure where its arguments are wrong.
void enqueue(ncclComm_t comm, cudaStream_t stream, Operation operation);

template <typename Body>
ncclResult_t guarded(const Body& body) {
  try {
    body();
    return ncclSuccess;
  } catch (const Failure& failure) {
    return refuse(failure);
  } catch (const Stopped&) {
    remember_error("stopped while waiting for other ranks");
    return ncclSystemError;
  } catch (const std::exception& error) {
    remember_error(error.what());
    return ncclInternalError;
  }
}

}  // namespace grpo::device_nccl
