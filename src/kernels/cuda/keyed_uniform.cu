#include <cuda_runtime.h>

#include "kernels/cuda/c_api.h"

namespace {

struct Block {
  uint32_t words[4];
};

// Philox-4x32-10; the twin of base::philox.
__device__ Block philox(Block c, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(0xD2511F53u) * c.words[0];
    const uint64_t product1 = static_cast<uint64_t>(0xCD9E8D57u) * c.words[2];
    c = {{static_cast<uint32_t>(product1 >> 32) ^ c.words[1] ^ key0, static_cast<uint32_t>(product1),
          static_cast<uint32_t>(product0 >> 32) ^ c.words[3] ^ key1, static_cast<uint32_t>(product0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

__global__ void keyed_uniforms(uint32_t key0, uint32_t key1, int64_t n, const uint64_t* draws, const uint32_t* samples,
                               const uint32_t* positions, double* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Block block = philox(
      {{static_cast<uint32_t>(draws[i]), static_cast<uint32_t>(draws[i] >> 32), samples[i], positions[i]}}, key0, key1);
  const uint64_t bits = (static_cast<uint64_t>(block.words[0]) << 32 | block.words[1]) >> 11;
  out[i] = static_cast<double>(bits) * 0x1.0p-53;
}

// Device memory that frees itself.
template <typename T>
class DeviceArray {
 public:
  DeviceArray(const T* host, int64_t n) : bytes_(static_cast<size_t>(n) * sizeof(T)) {
    status_ = cudaMalloc(&data_, bytes_);
    if (status_ == cudaSuccess && host != nullptr) status_ = cudaMemcpy(data_, host, bytes_, cudaMemcpyHostToDevice);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  T* data() const { return data_; }
  cudaError_t status() const { return status_; }
  cudaError_t copy_to(T* host) const { return cudaMemcpy(host, data_, bytes_, cudaMemcpyDeviceToHost); }

 private:
  T* data_ = nullptr;
  size_t bytes_;
  cudaError_t status_;
};

const char* message(cudaError_t status) { return status == cudaSuccess ? nullptr : cudaGetErrorString(status); }

}  // namespace

int grpo_cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

const char* grpo_cuda_keyed_uniforms(const uint32_t key[2], int64_t n, const uint64_t* draws, const uint32_t* samples,
                                     const uint32_t* positions, double* out) {
  if (n == 0) return nullptr;
  const DeviceArray<uint64_t> device_draws(draws, n);
  const DeviceArray<uint32_t> device_samples(samples, n), device_positions(positions, n);
  const DeviceArray<double> device_out(nullptr, n);
  for (const cudaError_t status :
       {device_draws.status(), device_samples.status(), device_positions.status(), device_out.status()}) {
    if (status != cudaSuccess) return message(status);
  }
  constexpr int kThreads = 256;
  const auto blocks = static_cast<unsigned>((n + kThreads - 1) / kThreads);
  keyed_uniforms<<<blocks, kThreads>>>(key[0], key[1], n, device_draws.data(), device_samples.data(), device_positions.data(),
                                       device_out.data());
  if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess) return message(status);
  return message(device_out.copy_to(out));
}
