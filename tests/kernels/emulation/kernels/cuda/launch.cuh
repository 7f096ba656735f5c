#pragma once

#include <cuda_runtime.h>

// Takes the place of src/kernels/cuda/launch.cuh.

namespace grpo::kernels::cuda {

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, unsigned threads, size_t shared_bytes, cudaStream_t,
            Arguments... arguments) {
  for (unsigned y = 0; y < blocks.y; ++y) {
    for (unsigned x = 0; x < blocks.x; ++x)
      testing::run_block({x, y}, threads, shared_bytes, [&] { kernel(static_cast<Parameters>(arguments)...); });
  }
}

template <typename... Parameters, typename... Arguments>
void launch_following(void (*kernel)(Parameters...), dim3 blocks, unsigned threads, size_t shared_bytes,
                      cudaStream_t stream, Arguments... arguments) {
  launch(kernel, blocks, threads, shared_bytes, stream, arguments...);
}

// Blocks run one after the other.
inline void follow_kernel_in_front() {}

template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(testing::emulated_shared_memory());
}

}  // namespace grpo::kernels::cuda
