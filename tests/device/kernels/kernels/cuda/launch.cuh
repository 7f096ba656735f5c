#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <string>
#include <typeinfo>
#include <vector>

#include "device/host_device.h"

// Takes the place of src/kernels/cuda/launch.cuh: a kernel's blocks run one after the other, when the device gets to
// them. The launchers that are compiled with it stand before those of libgrpo_kernels_cuda.so, whose tables and
// planners call them.

namespace grpo::kernels::cuda {

/// Words of an argument that are addresses of the device's memory: pointers, also inside of structs.
template <typename T>
void append_pointers(const T& argument, std::vector<host_device::Span>& memory) {
  const void* words[sizeof(T) / sizeof(void*) + 1] = {};
  std::memcpy(words, &argument, sizeof(T) / sizeof(void*) * sizeof(void*));
  for (const void* word : words) {
    if (host_device::is_device_memory(word)) memory.push_back({word, 1});
  }
}

inline constexpr size_t kSharedBytes = 48 << 10;  // more has to be asked for

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, unsigned threads, size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments) {
  const std::string name = typeid(kernel).name();
  if (const auto why = host_device::refusal(blocks, dim3{threads, 1, 1}, shared_bytes, kSharedBytes); !why.empty())
    return host_device::refuse_launch(name + ": " + why);
  std::vector<host_device::Span> memory;
  (append_pointers(arguments, memory), ...);
  host_device::launch(
      stream,
      {name, memory, [=] {
         for (unsigned y = 0; y < blocks.y; ++y) {
           for (unsigned x = 0; x < blocks.x; ++x)
             testing::run_block({x, y}, threads, shared_bytes, [&] { kernel(static_cast<Parameters>(arguments)...); });
         }
       }});
}

template <typename... Parameters, typename... Arguments>
void launch_following(void (*kernel)(Parameters...), dim3 blocks, unsigned threads, size_t shared_bytes,
                      cudaStream_t stream, Arguments... arguments) {
  launch(kernel, blocks, threads, shared_bytes, stream, arguments...);
}

// Kernels of a stream run one after the other.
inline void follow_kernel_in_front() {}

template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(testing::emulated_shared_memory());
}

}  // namespace grpo::kernels::cuda
