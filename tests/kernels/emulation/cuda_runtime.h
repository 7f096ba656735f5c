#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/emulation/block.h"

// CUDA's words for the CPU: the kernels' sources are compiled as they are. A block's threads are fibers that run in
// turns; see block.h. One block runs at a time, so its shared memory may be static.

#undef __global__
#undef __device__
#undef __shared__
#undef __align__
#undef __launch_bounds__
#define __global__
#define __device__
#define __shared__ static
#define __align__(bytes) alignas(bytes)
#define __launch_bounds__(threads)

#define threadIdx (::grpo::testing::emulated_thread())
#define blockIdx (::grpo::testing::emulated_block())
#define blockDim (::grpo::testing::emulated_block_size())

inline void __syncthreads() { grpo::testing::wait_for_block(); }
inline void __trap() { grpo::testing::trap(); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int distance) {
  return grpo::testing::exchange_in_warp(value, [&](int lane) { return lane ^ distance; });
}
template <typename T>
T __shfl_up_sync(unsigned, T value, int distance) {
  return grpo::testing::exchange_in_warp(value, [&](int lane) { return lane >= distance ? lane - distance : lane; });
}
template <typename T>
T __shfl_sync(unsigned, T value, int source) {
  return grpo::testing::exchange_in_warp(value, [&](int) { return source; });
}
inline unsigned __ballot_sync(unsigned, bool vote) { return grpo::testing::ballot_in_warp(vote); }

template <typename T>
T atomicAdd(T* at, T value) {
  const T before = *at;
  *at += value;
  return before;
}

inline int __ffs(int bits) { return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1; }
inline int __popc(unsigned bits) { return std::popcount(bits); }
inline int __clz(int bits) { return std::countl_zero(static_cast<unsigned>(bits)); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }

using std::isfinite;
using std::isnan;
using std::max;
using std::min;
