#include "device/nccl/streams.h"

#include <dlfcn.h>

#include <memory>
#include <string>

#include "device/nccl/failure.h"

namespace grpo::device_nccl {
namespace {

// Of any signature of the runtime that returns an error.
template <typename... Parameters>
void call(const char* name, cudaError_t (*)(Parameters...), std::type_identity_t<Parameters>... arguments) {
  auto* const function = reinterpret_cast<cudaError_t (*)(Parameters...)>(dlsym(RTLD_DEFAULT, name));
  if (function == nullptr) throw Failure(ncclSystemError, std::string("no ") + name + " in this process");
  const cudaError_t error = function(arguments...);
  if (error != cudaSuccess)
    throw Failure(ncclUnhandledCudaError, std::string(name) + ": error " + std::to_string(error));
}

#define GRPO_CALL(function, ...) call(#function, static_cast<decltype(&function)>(nullptr), __VA_ARGS__)

using Work = std::function<void()>;

void run_once(void* work) { (*std::unique_ptr<Work>(static_cast<Work*>(work)))(); }

void run_again(void* work) { (*static_cast<Work*>(work))(); }

bool capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  GRPO_CALL(cudaStreamIsCapturing, stream, &status);
  return status == cudaStreamCaptureStatusActive;
}

}  // namespace

StreamOrder::~StreamOrder() {
  if (last_ == nullptr) return;
  try {
    GRPO_CALL(cudaEventDestroy, last_);
  } catch (const Failure&) {
    // The runtime ends before this library in a process that exits.
  }
}

void StreamOrder::launch(cudaStream_t stream, std::function<void()> work) {
  if (capturing(stream)) return launch_captured(stream, std::move(work));
  if (last_ == nullptr) {
    GRPO_CALL(cudaEventCreateWithFlags, &last_, cudaEventDisableTiming);
  } else if (stream != stream_) {
    GRPO_CALL(cudaStreamWaitEvent, stream, last_, 0);
  }
  auto owned = std::make_unique<Work>(std::move(work));
  GRPO_CALL(cudaLaunchHostFunc, stream, run_once, owned.get());
  owned.release();  // run_once's now
  GRPO_CALL(cudaEventRecord, last_, stream);
  stream_ = stream;
}

void StreamOrder::launch_captured(cudaStream_t stream, std::function<void()> work) {
  captured_.push_back(std::move(work));
  GRPO_CALL(cudaLaunchHostFunc, stream, run_again, &captured_.back());
}

void StreamOrder::wait() const {
  if (last_ != nullptr) GRPO_CALL(cudaEventSynchronize, last_);
}

void* device_memory(size_t bytes) {
  void* memory = nullptr;
  call("cudaMalloc", static_cast<cudaError_t (*)(void**, size_t)>(nullptr), &memory, bytes);
  return memory;
}

void free_device_memory(void* memory) { GRPO_CALL(cudaFree, memory); }

#undef GRPO_CALL

}  // namespace grpo::device_nccl
