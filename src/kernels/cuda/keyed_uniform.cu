#include "kernels/cuda/device.cuh"
#include "kernels/cuda/philox.cuh"

namespace grpo::kernels::cuda {
namespace {

__global__ void uniforms(uint32_t key0, uint32_t key1, int64_t n, const int64_t* draws, const int64_t* samples,
                         const int64_t* positions, double* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  out[i] = keyed_uniform(key0, key1, static_cast<uint64_t>(draws[i]), static_cast<uint32_t>(samples[i]),
                         static_cast<uint32_t>(positions[i]));
}

}  // namespace

cudaError_t keyed_uniforms(uint32_t key0, uint32_t key1, int64_t n, const int64_t* draws, const int64_t* samples,
                           const int64_t* positions, double* out, cudaStream_t stream) {
  constexpr int kThreads = 256;
  if (n > 0) uniforms<<<blocks_for(n, kThreads), kThreads, 0, stream>>>(key0, key1, n, draws, samples, positions, out);
  return cudaGetLastError();
}

}  // namespace grpo::kernels::cuda
