#include "device/runtime/rules.h"

#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

#include "device/host_device.h"
#include "device/runtime/streams.h"

namespace grpo::host_device {
namespace {

struct Record {
  std::mutex mutex;
  std::vector<std::string> messages;
  cudaError_t device = cudaSuccess;
  std::string device_message;
};

// Kept for ever: LibTorch calls the runtime while the process ends.
Record& record() {
  static auto* const kept = new Record;
  return *kept;
}

struct LastError {
  cudaError_t error = cudaSuccess;
  std::map<cudaError_t, std::string> messages;
};
thread_local LastError last;

void keep(const std::string& message) {
  std::fprintf(stderr, "host device: %s\n", message.c_str());
  record().messages.push_back(message);
}

}  // namespace

cudaError_t fail(cudaError_t error, const std::string& message) {
  {
    const std::lock_guard lock(record().mutex);
    keep(message);
  }
  last.messages[error] = message;
  return last.error = error;
}

cudaError_t last_error() { return last.error != cudaSuccess ? last.error : device_error(); }

cudaError_t take_last_error() {
  const cudaError_t error = last_error();
  last.error = cudaSuccess;
  return error;
}

const char* describe(cudaError_t error) {
  if (const auto found = last.messages.find(error); found != last.messages.end()) return found->second.c_str();
  const std::lock_guard lock(record().mutex);
  if (error != cudaSuccess && error == record().device) return record().device_message.c_str();
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorNotSupported:
      return "not supported by the host device";
    default:
      return "an error of the host device";
  }
}

void fail_device(const std::string& message) {
  const std::lock_guard lock(record().mutex);
  keep(message);
  if (record().device != cudaSuccess) return;
  record().device = cudaErrorLaunchFailure;
  record().device_message = message;
}

cudaError_t device_error() {
  const std::lock_guard lock(record().mutex);
  return record().device;
}

std::vector<std::string> take_errors() {
  last = {};
  const std::lock_guard lock(record().mutex);
  record().device = cudaSuccess;
  return std::exchange(record().messages, {});
}

cudaError_t refuse_in_capture(const char* call) {
  if (during_capture() == During::kAllowed) return cudaSuccess;
  invalidate_capture();
  return fail(cudaErrorStreamCaptureUnsupported, std::string(call) + " while this thread records a graph");
}

std::string refusal(dim3 grid, dim3 block, size_t shared_bytes, size_t most_shared_bytes) {
  const auto list = [](dim3 d) { return std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z); };
  const auto threads = static_cast<uint64_t>(block.x) * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || threads == 0)
    return "an empty grid " + list(grid) + " of blocks " + list(block);
  if (grid.x > 2147483647u || grid.y > 65535u || grid.z > 65535u)
    return "a grid of " + list(grid) + " blocks: y and z end at 65535";
  if (threads > 1024 || block.z > 64) return "a block of " + list(block) + " threads: 1024 are the most, 64 in z";
  if (shared_bytes > most_shared_bytes) {
    return std::to_string(shared_bytes) + " bytes of shared memory where " + std::to_string(most_shared_bytes) +
           " are allowed (cudaFuncAttributeMaxDynamicSharedMemorySize)";
  }
  return "";
}

}  // namespace grpo::host_device
