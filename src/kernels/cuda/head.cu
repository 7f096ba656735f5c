#include "kernels/cuda/packs.cuh"
#include "kernels/cuda/update_launchers.h"

// head_rows reads a row of logits once; head_gradient reads it once more and writes the gradient in its place.

namespace grpo::kernels::cuda {
namespace {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLowest = -1e30f;  // below every logit; minus infinity would give differences that are no numbers

// An online softmax (arXiv 1805.02867) of the logits seen so far: their maximum m and, with x = (logit - m) /
// temperature, the sums of exp(x) and of (logit - m) exp(x).
struct Online {
  float max, sum, weighted;
};

__device__ Online nothing() { return {kLowest, 0.0f, 0.0f}; }

// exp(x / temperature), of a difference of logits. to_log2: log2(e) / temperature.
__device__ float power(float x, float to_log2) { return exp2f(x * to_log2); }

// The same sums relative to another maximum, which is not lower than the old one.
__device__ Online relative_to(float max, const Online& part, float to_log2) {
  const float distance = part.max - max, factor = power(distance, to_log2);
  return {max, part.sum * factor, (part.weighted + part.sum * distance) * factor};
}

__device__ Online merged(const Online& a, const Online& b, float to_log2) {
  const float max = fmaxf(a.max, b.max);
  const Online left = relative_to(max, a, to_log2), right = relative_to(max, b, to_log2);
  return {max, left.sum + right.sum, left.weighted + right.weighted};
}

__device__ Online merged_in_warp(Online x, float to_log2) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Online other = {__shfl_xor_sync(kAllLanes, x.max, distance), __shfl_xor_sync(kAllLanes, x.sum, distance),
                          __shfl_xor_sync(kAllLanes, x.weighted, distance)};
    x = merged(x, other, to_log2);
  }
  return x;
}

// Returns the sums of the whole block in the first warp; other warps get their own sums only. The order of merging is
// fixed.
__device__ Online merged_in_block(Online x, float to_log2) {
  __shared__ float maxima[kWarp], sums[kWarp], weighted[kWarp];
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  x = merged_in_warp(x, to_log2);
  if (lane == 0) {
    maxima[warp] = x.max;
    sums[warp] = x.sum;
    weighted[warp] = x.weighted;
  }
  __syncthreads();
  if (warp > 0) return x;
  return merged_in_warp(lane < warps ? Online{maxima[lane], sums[lane], weighted[lane]} : nothing(), to_log2);
}

template <typename T, int kCount>
__device__ Online with_pack(Online seen, const Pack<T, kCount>& pack, float to_log2) {
  float x[kCount], max = seen.max;
  for (int j = 0; j < kCount; ++j) {
    x[j] = to_float(pack.at[j]);
    max = fmaxf(max, x[j]);
  }
  if (max > seen.max) seen = relative_to(max, seen, to_log2);
  for (int j = 0; j < kCount; ++j) {
    const float below = x[j] - seen.max, e = power(below, to_log2);
    seen.sum += e;
    seen.weighted += e > 0.0f ? e * below : 0.0f;  // 0 times minus infinity is no number
  }
  return seen;
}

template <typename T, int kCount>
__global__ void head_rows_kernel(const T* logits, const int64_t* targets, float inverse_temperature, HeadRowData rows,
                                 int64_t vocabulary) {
  const int64_t row = blockIdx.x;
  const T* own = logits + row * vocabulary;
  const int64_t target = targets[row];
  if (target < 0 || target >= vocabulary) __trap();
  Online seen = nothing();
  for (int64_t i = threadIdx.x; i < vocabulary / kCount; i += blockDim.x)
    seen = with_pack(seen, packs_of<T, kCount>(own)[i], inverse_temperature * kLog2E);
  seen = merged_in_block(seen, inverse_temperature * kLog2E);
  if (threadIdx.x != 0) return;
  const float log_sum = logf(seen.sum);
  rows.max[row] = seen.max;
  rows.log_sum[row] = log_sum;
  rows.entropy[row] = log_sum - seen.weighted * inverse_temperature / seen.sum;
  rows.log_probs[row] = (to_float(own[target]) - seen.max) * inverse_temperature - log_sum;
}

template <typename T, int kCount>
__global__ void head_gradient_kernel(T* logits, const int64_t* targets, float inverse_temperature, HeadRowData rows,
                                     const float* g, const float* h, int64_t vocabulary) {
  const int64_t row = blockIdx.x;
  const int64_t i = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i >= vocabulary / kCount) return;
  const float of_log_prob = g == nullptr ? 0.0f : g[row], of_entropy = h == nullptr ? 0.0f : h[row];
  const float max = rows.max[row], log_sum = rows.log_sum[row], entropy = rows.entropy[row];
  const int64_t target = targets[row] - i * kCount;  // in [0, kCount) if the target is in this pack
  auto* const at = packs_of<T, kCount>(logits + row * vocabulary) + i;
  auto pack = *at;
  for (int j = 0; j < kCount; ++j) {
    const float log_p = (to_float(pack.at[j]) - max) * inverse_temperature - log_sum, p = power(log_p, kLog2E);
    float gradient = of_log_prob * ((j == target ? 1.0f : 0.0f) - p);
    if (of_entropy != 0.0f && p > 0.0f) gradient -= of_entropy * p * (log_p + entropy);
    pack.at[j] = from_float<T>(gradient * inverse_temperature);
  }
  *at = pack;
}

}  // namespace

cudaError_t head_rows(Element type, const void* logits, const int64_t* targets, float inverse_temperature,
                      HeadRowData rows, int64_t count, int64_t vocabulary, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  const Operand operands[] = {{logits, vocabulary}};
  return with_widest_packs(type, operands, vocabulary, [&](auto element, auto packs) {
    using T = decltype(element);
    constexpr int kCount = decltype(packs)::value;
    launch(head_rows_kernel<T, kCount>, dim3(static_cast<unsigned>(count)), threads_for(vocabulary / kCount), 0, stream,
           static_cast<const T*>(logits), targets, inverse_temperature, rows, vocabulary);
  });
}

cudaError_t head_gradient(Element type, void* logits, const int64_t* targets, float inverse_temperature,
                          HeadRowData rows, const float* g, const float* h, int64_t count, int64_t vocabulary,
                          cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  constexpr int kThreads = 256;
  const Operand operands[] = {{logits, vocabulary}};
  return with_widest_packs(type, operands, vocabulary, [&](auto element, auto packs) {
    using T = decltype(element);
    constexpr int kCount = decltype(packs)::value;
    const dim3 blocks(static_cast<unsigned>(count), blocks_for(vocabulary / kCount, kThreads));
    launch(head_gradient_kernel<T, kCount>, blocks, kThreads, 0, stream, static_cast<T*>(logits), targets,
           inverse_temperature, rows, g, h, vocabulary);
  });
}

}  // namespace grpo::kernels::cuda
