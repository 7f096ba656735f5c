#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <list>

namespace grpo::device_nccl {

/// The order of one communicator's work on a device: it goes onto streams, and when the stream changes the new one
/// waits for the old one, as NCCL has it. The runtime's functions are found by name in the process, whoever brought
/// them.
class StreamOrder {
 public:
  ~StreamOrder();

  /// Puts the work behind all that is on the stream. May be called while the stream is captured.
  void launch(cudaStream_t stream, std::function<void()> work);

  /// Waits for all work so far.
  void wait() const;

 private:
  void launch_captured(cudaStream_t stream, std::function<void()> work);
  cudaEvent_t last_ = nullptr;
  cudaStream_t stream_ = nullptr;
  std::list<std::function<void()>> captured_;  // graphs may run it again and again
};

/// Of the runtime.
void* device_memory(size_t bytes);
void free_device_memory(void* memory);

}  // namespace grpo::device_nccl
