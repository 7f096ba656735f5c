#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdlib>
#include <string_view>

// The places where CUDA's own syntax starts a kernel. tests/kernels/emulation has a file of the same name that runs
// the kernels on the CPU.

namespace grpo::kernels::cuda {

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, unsigned threads, size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments) {
  kernel<<<blocks, threads, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
}

/// Only its attributes are asked for.
template <int kUnused>
__global__ void any_kernel() {}

/// Whether kernels start before the one in front has finished. This takes Hopper or later, and code for these: code for
/// older devices, which they run too, does not wait in follow_kernel_in_front(). The environment variable
/// GRPO_EARLY_LAUNCHES=0 switches it off, to see whether a fault comes from it.
inline bool overlaps_launches() {
  static const bool overlaps = [] {
    const char* wish = std::getenv("GRPO_EARLY_LAUNCHES");
    if (wish != nullptr && std::string_view(wish) == "0") return false;
    cudaFuncAttributes code = {};
    return cudaFuncGetAttributes(&code, any_kernel<0>) == cudaSuccess && code.ptxVersion >= 90;
  }();
  return overlaps;
}

/// As launch, for a kernel that begins with follow_kernel_in_front(): where the device can, its blocks start while the
/// kernel in front in the stream still runs. A graph keeps this.
template <typename... Parameters, typename... Arguments>
void launch_following(void (*kernel)(Parameters...), dim3 blocks, unsigned threads, size_t shared_bytes,
                      cudaStream_t stream, Arguments... arguments) {
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = overlaps_launches() ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

/// Waits until the kernel in front in the stream has finished and its writes are visible, then lets the next kernel
/// start. Every thread calls it before it touches device memory. Since each kernel waits for the one in front, all
/// earlier kernels have finished, too.
__device__ inline void follow_kernel_in_front() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n\tgriddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// The block's shared memory of `shared_bytes`.
template <typename T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char bytes[];
  return reinterpret_cast<T*>(bytes);
}

}  // namespace grpo::kernels::cuda
