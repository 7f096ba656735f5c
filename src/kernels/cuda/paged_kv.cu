#include "kernels/cuda/device.cuh"

// The functions of paged_kv.h that need no plan. Tokens past the last sequence (a batch padded for a CUDA graph) are
// passed over.

namespace grpo::kernels::cuda {
namespace {

// One block writes one token.
template <typename T, int kCount>
__global__ void write_kv_kernel(const T* keys, int64_t key_stride, const T* values, int64_t value_stride, Layout layout,
                                Cache cache) {
  const int64_t token = blockIdx.x, width = cache.kv_heads * cache.head_dim;
  int32_t sequence;
  if (!find_sequence(layout, token, sequence)) return;
  const int64_t row = row_of(layout, cache, sequence, position_of(layout, sequence, token));
  using Words = Pack<T, kCount>;
  const auto* from_keys = reinterpret_cast<const Words*>(keys + token * key_stride);
  const auto* from_values = reinterpret_cast<const Words*>(values + token * value_stride);
  auto* to_keys = reinterpret_cast<Words*>(static_cast<T*>(cache.keys) + row * width);
  auto* to_values = reinterpret_cast<Words*>(static_cast<T*>(cache.values) + row * width);
  for (int64_t i = threadIdx.x; i < width / kCount; i += blockDim.x) {
    to_keys[i] = from_keys[i];
    to_values[i] = from_values[i];
  }
}

// One warp handles one head of one token: it rotates a query head into `queries` or a key head into the cache, or
// copies a value head into the cache. Every step rounds to T where the separate functions round, so that results are
// the same.
template <typename T>
__global__ void write_qkv_kernel(QkvProjection projection, Layout layout, Cache cache, T* queries) {
  follow_kernel_in_front();
  const int64_t all_heads = projection.heads + 2 * cache.kv_heads;
  const int64_t item = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  const int64_t token = item / all_heads, head = item % all_heads, d = cache.head_dim;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  int32_t sequence;
  if (token >= projection.tokens || !find_sequence(layout, token, sequence)) return;
  const bool is_query = head < projection.heads, is_value = head >= projection.heads + cache.kv_heads;
  const T* in = static_cast<const T*>(projection.qkv.data) + token * projection.qkv.stride + head * d;
  T* out = queries + (token * projection.heads + head) * d;
  if (!is_query) {
    const int64_t row = row_of(layout, cache, sequence, position_of(layout, sequence, token));
    const int64_t kv_head = is_value ? head - projection.heads - cache.kv_heads : head - projection.heads;
    out = static_cast<T*>(is_value ? cache.values : cache.keys) + (row * cache.kv_heads + kv_head) * d;
  }
  if (is_value) {
    for (int64_t i = lane; i < d; i += kWarp) out[i] = in[i];
    return;
  }
  const T* norm = static_cast<const T*>(is_query ? projection.q_norm : projection.k_norm);
  float factor = 1.0f;
  if (norm != nullptr) {
    float squares = 0.0f;
    for (int64_t i = lane; i < d; i += kWarp) squares += to_float(in[i]) * to_float(in[i]);
    factor = 1.0f / sqrtf(sum_of_warp(squares) / static_cast<float>(d) + projection.eps);
  }
  const auto normed = [&](int64_t i) {
    const float x = to_float(in[i]);
    return norm == nullptr ? x : to_float(from_float<T>(x * factor * to_float(norm[i])));
  };
  const int64_t position = projection.positions[token], half = d / 2;
  if (position < 0 || position >= projection.rope.rows) __trap();
  const float* cos = projection.rope.cos + position * half;
  const float* sin = projection.rope.sin + position * half;
  for (int64_t i = lane; i < half; i += kWarp) {
    const float first = normed(i), second = normed(i + half);
    out[i] = from_float<T>(first * cos[i] - second * sin[i]);
    out[i + half] = from_float<T>(second * cos[i] + first * sin[i]);
  }
}

constexpr int kAttentionWarps = 4;

// The online softmax of the positions that a warp has seen; lane l holds elements l, l + 32, ... of the sums.
template <int kPerLane>
struct RunningSoftmax {
  float highest = -INFINITY;
  float total = 0.0f;
  float sums[kPerLane] = {};

  template <typename T>
  __device__ void add(float score, const T* value, int lane, int64_t head_dim) {
    const float now = fmaxf(highest, score);
    const float keep = expf(highest - now), p = expf(score - now);  // highest starts at -inf: keep is 0
    highest = now;
    total = total * keep + p;
    for (int j = 0; j < kPerLane; ++j) {
      const int64_t i = lane + j * kWarp;
      sums[j] = sums[j] * keep + (i < head_dim ? p * to_float(value[i]) : 0.0f);
    }
  }
};

// One block for each token and query head: each warp takes every fourth position, then the first warp adds the sums of
// all warps. Computed in fp32.
template <typename T, int kPerLane>
__global__ void simple_attention_kernel(const T* queries, Layout layout, Cache cache, T* out, int64_t heads,
                                        float scale) {
  follow_kernel_in_front();
  const int64_t token = blockIdx.x, head = blockIdx.y, d = cache.head_dim;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  int32_t sequence;
  if (!find_sequence(layout, token, sequence)) return;
  const int64_t kv_head = head / (heads / cache.kv_heads);
  const T* query = queries + (token * heads + head) * d;
  float q[kPerLane];
  for (int j = 0; j < kPerLane; ++j) q[j] = lane + j * kWarp < d ? to_float(query[lane + j * kWarp]) : 0.0f;
  const int64_t last = position_of(layout, sequence, token);
  RunningSoftmax<kPerLane> softmax;
  for (int64_t position = warp; position <= last; position += kAttentionWarps) {
    const int64_t at = (row_of(layout, cache, sequence, position) * cache.kv_heads + kv_head) * d;
    const T* key = static_cast<const T*>(cache.keys) + at;
    float score = 0.0f;
    for (int j = 0; j < kPerLane; ++j) {
      if (lane + j * kWarp < d) score += q[j] * to_float(key[lane + j * kWarp]);
    }
    softmax.add(sum_of_warp(score) * scale, static_cast<const T*>(cache.values) + at, lane, d);
  }
  __shared__ float highest[kAttentionWarps], totals[kAttentionWarps], sums[kAttentionWarps][kPerLane * kWarp];
  if (lane == 0) {
    highest[warp] = softmax.highest;
    totals[warp] = softmax.total;
  }
  for (int j = 0; j < kPerLane; ++j) sums[warp][lane + j * kWarp] = softmax.sums[j];
  __syncthreads();
  if (warp != 0) return;
  float top = highest[0];  // the first warp has the first position
  for (int w = 1; w < kAttentionWarps; ++w) top = fmaxf(top, highest[w]);
  float total = 0.0f, result[kPerLane] = {};
  for (int w = 0; w < kAttentionWarps; ++w) {
    const float keep = expf(highest[w] - top);
    total += totals[w] * keep;
    for (int j = 0; j < kPerLane; ++j) result[j] += sums[w][lane + j * kWarp] * keep;
  }
  for (int j = 0; j < kPerLane; ++j) {
    if (lane + j * kWarp < d) out[(token * heads + head) * d + lane + j * kWarp] = from_float<T>(result[j] / total);
  }
}

template <typename T, int kCount>
void launch_write_kv(Rows keys, Rows values, const Layout& layout, const Cache& cache, int64_t tokens,
                     cudaStream_t stream) {
  launch(write_kv_kernel<T, kCount>, dim3(static_cast<unsigned>(tokens)),
         threads_for(cache.kv_heads * cache.head_dim / kCount), 0, stream, static_cast<const T*>(keys.data),
         keys.stride, static_cast<const T*>(values.data), values.stride, layout, cache);
}

template <typename T, int kPerLane>
void launch_simple(const void* queries, const Layout& layout, const Cache& cache, void* out, int64_t tokens,
                   int64_t heads, float scale, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(tokens), static_cast<unsigned>(heads));
  launch_following(simple_attention_kernel<T, kPerLane>, blocks, kAttentionWarps * kWarp, 0, stream,
                   static_cast<const T*>(queries), layout, cache, static_cast<T*>(out), heads, scale);
}

}  // namespace

cudaError_t write_kv(Element type, Rows keys, Rows values, const Layout& layout, const Cache& cache, int64_t tokens,
                     cudaStream_t stream) {
  if (tokens == 0 || layout.sequences == 0) return cudaSuccess;
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    const int64_t width = cache.kv_heads * cache.head_dim;
    const bool packed = packs<T>(keys.data, keys.stride, width) && packs<T>(values.data, values.stride, width) &&
                        packs<T>(cache.keys, width, width) && packs<T>(cache.values, width, width);
    packed ? launch_write_kv<T, kWidestPack<T>>(keys, values, layout, cache, tokens, stream)
           : launch_write_kv<T, 1>(keys, values, layout, cache, tokens, stream);
  });
}

cudaError_t write_qkv(Element type, const QkvProjection& projection, const Layout& layout, const Cache& cache,
                      void* queries, cudaStream_t stream) {
  if (projection.tokens == 0 || layout.sequences == 0) return cudaSuccess;
  constexpr int kThreads = 128;
  const int64_t warps = projection.tokens * (projection.heads + 2 * cache.kv_heads);
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    launch_following(write_qkv_kernel<T>, blocks_for(warps * kWarp, kThreads), kThreads, 0, stream, projection, layout,
                     cache, static_cast<T*>(queries));
  });
}

cudaError_t simple_attention(Element type, const void* queries, const Layout& layout, const Cache& cache, void* out,
                             int64_t tokens, int64_t heads, float scale, cudaStream_t stream) {
  if (tokens == 0 || layout.sequences == 0) return cudaSuccess;
  if (cache.head_dim > kMaxSimpleHeadDim) return cudaErrorInvalidValue;
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    const auto start = cache.head_dim <= 64    ? launch_simple<T, 2>
                       : cache.head_dim <= 128 ? launch_simple<T, 4>
                                               : launch_simple<T, 8>;
    start(queries, layout, cache, out, tokens, heads, scale, stream);
  });
}

}  // namespace grpo::kernels::cuda
