#pragma once

#include <cuda_runtime.h>

#include <cstddef>

// The two places where CUDA's own syntax starts a kernel. tests/kernels/emulation has a file of the same name that runs
// the kernels on the CPU.

namespace grpo::kernels::cuda {

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, unsigned threads, size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments) {
  kernel<<<blocks, threads, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
}

/// The block's shared memory of `shared_bytes`.
template <typename T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char bytes[];
  return reinterpret_cast<T*>(bytes);
}

}  // namespace grpo::kernels::cuda
