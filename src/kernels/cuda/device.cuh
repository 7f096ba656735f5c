#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"

// What the kernels share.

namespace grpo::kernels::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T>
__device__ inline T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

/// Elements that are read and written together, up to 16 bytes.
template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T at[kCount];
};

template <typename T>
inline constexpr int kWidestPack = 16 / static_cast<int>(sizeof(T));

/// Whether rows of `width` elements, `stride` apart from `data` on, divide into the widest packs.
template <typename T>
inline bool packs(const void* data, int64_t stride, int64_t width) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % kWidestPack<T> == 0 && width % kWidestPack<T> == 0;
}

template <typename T>
__device__ inline T sum_of_warp(T x) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(kAllLanes, x, distance);
  return x;
}

/// The sum over a block, in every thread; the order of summation is fixed. The block is whole warps.
__device__ inline float sum_of_block(float x) {
  __shared__ float sums[kWarp];
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  x = sum_of_warp(x);
  __syncthreads();  // the sums of an earlier call have been read
  if (lane == 0) sums[warp] = x;
  __syncthreads();
  return sum_of_warp(lane < warps ? sums[lane] : 0.0f);
}

/// The threads of a block that works on a row of so many packs: one for each pack in whole warps, but at most 16 warps.
inline unsigned threads_for(int64_t packs) {
  const int64_t warps = (packs + kWarp - 1) / kWarp;
  return static_cast<unsigned>(kWarp * (warps < 1 ? 1 : warps > 16 ? 16 : warps));
}

inline unsigned blocks_for(int64_t items, int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

/// Calls function(T()) with the C++ type of the elements.
template <typename Function>
cudaError_t with_type(Element type, const Function& function) {
  if (type == Element::kFloat) {
    function(float());
  } else {
    function(__nv_bfloat16());
  }
  return cudaGetLastError();
}

/// The sequence of a new token: the last one whose first token is not after it. False for a token past the last
/// sequence.
__device__ inline bool find_sequence(const Layout& layout, int64_t token, int32_t& sequence) {
  if (token >= layout.query_offsets[layout.sequences]) return false;
  int32_t low = 0, high = layout.sequences - 1;
  while (low < high) {
    const int32_t middle = (low + high + 1) / 2;
    if (layout.query_offsets[middle] <= token) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  sequence = low;
  return true;
}

/// The place of a position of a sequence, in tokens from the start of the cache.
__device__ inline int64_t row_of(const Layout& layout, const Cache& cache, int32_t sequence, int64_t position) {
  const int64_t page = layout.page_ids[layout.page_offsets[sequence] + position / cache.page_size];
  return page * cache.page_size + position % cache.page_size;
}

/// The absolute position of a new token of a sequence.
__device__ inline int64_t position_of(const Layout& layout, int32_t sequence, int64_t token) {
  return layout.context_lengths[sequence] - (layout.query_offsets[sequence + 1] - token);
}

}  // namespace grpo::kernels::cuda
