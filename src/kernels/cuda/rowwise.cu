#include "kernels/cuda/device.cuh"

// Every sum over a row has a fixed order, so a row's result does not depend on the rows beside it. Products and sums
// are fp32 and are rounded once, where the CPU kernels round.

namespace grpo::kernels::cuda {
namespace {

template <typename T, int kCount>
__device__ const Pack<T, kCount>* packs_of(const T* row) {
  return reinterpret_cast<const Pack<T, kCount>*>(row);
}

template <typename T, int kCount>
__device__ Pack<T, kCount>* packs_of(T* row) {
  return reinterpret_cast<Pack<T, kCount>*>(row);
}

__device__ float norm_factor(float squares, int64_t width, float eps) {
  return 1.0f / sqrtf(squares / static_cast<float>(width) + eps);
}

template <typename T, int kCount>
__global__ void rms_norm_kernel(const T* x, const T* weight, T* y, int64_t width, float eps) {
  follow_kernel_in_front();
  const int64_t row = blockIdx.x;
  const auto* in = packs_of<T, kCount>(x + row * width);
  const auto* w = packs_of<T, kCount>(weight);
  auto* out = packs_of<T, kCount>(y + row * width);
  float squares = 0.0f;
  for (int64_t i = threadIdx.x; i < width / kCount; i += blockDim.x) {
    const auto pack = in[i];
    for (int j = 0; j < kCount; ++j) squares += to_float(pack.at[j]) * to_float(pack.at[j]);
  }
  const float factor = norm_factor(sum_of_block(squares), width, eps);
  for (int64_t i = threadIdx.x; i < width / kCount; i += blockDim.x) {
    const auto pack = in[i], scale = w[i];
    Pack<T, kCount> result;
    for (int j = 0; j < kCount; ++j)
      result.at[j] = from_float<T>(to_float(pack.at[j]) * factor * to_float(scale.at[j]));
    out[i] = result;
  }
}

// The norm is of the sum as it is stored, so that it equals adding and then norming.
template <typename T, int kCount>
__global__ void add_rms_norm_kernel(const T* x, const T* residual, const T* weight, T* sum, T* normed, int64_t width,
                                    float eps) {
  follow_kernel_in_front();
  const int64_t row = blockIdx.x;
  const auto* in = packs_of<T, kCount>(x + row * width);
  const auto* other = packs_of<T, kCount>(residual + row * width);
  const auto* w = packs_of<T, kCount>(weight);
  auto* total = packs_of<T, kCount>(sum + row * width);
  auto* out = packs_of<T, kCount>(normed + row * width);
  float squares = 0.0f;
  for (int64_t i = threadIdx.x; i < width / kCount; i += blockDim.x) {
    const auto a = in[i], b = other[i];
    Pack<T, kCount> result;
    for (int j = 0; j < kCount; ++j) {
      result.at[j] = from_float<T>(to_float(a.at[j]) + to_float(b.at[j]));
      squares += to_float(result.at[j]) * to_float(result.at[j]);
    }
    total[i] = result;
  }
  const float factor = norm_factor(sum_of_block(squares), width, eps);
  for (int64_t i = threadIdx.x; i < width / kCount; i += blockDim.x) {
    const auto pack = total[i], scale = w[i];  // this thread's own
    Pack<T, kCount> result;
    for (int j = 0; j < kCount; ++j)
      result.at[j] = from_float<T>(to_float(pack.at[j]) * factor * to_float(scale.at[j]));
    out[i] = result;
  }
}

// y = f x w with f = 1 / sqrt(mean(x^2) + eps): dx = f (dy w - x f^2 mean(dy w x)), dweight += dy f x.
template <typename T>
__global__ void rms_norm_backward_kernel(const T* grad, const T* x, const T* weight, T* dx, float* partial,
                                         int64_t rows, int64_t width, float eps) {
  float* dweight = partial + static_cast<int64_t>(blockIdx.x) * width;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) dweight[i] = 0.0f;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kNormBackwardRows;
  const int64_t end = min(rows, first + kNormBackwardRows);
  for (int64_t row = first; row < end; ++row) {
    const T* dy = grad + row * width;
    const T* in = x + row * width;
    float squares = 0.0f, products = 0.0f;
    for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      const float v = to_float(in[i]);
      squares += v * v;
      products += to_float(dy[i]) * to_float(weight[i]) * v;
    }
    const float factor = norm_factor(sum_of_block(squares), width, eps);
    const float shared = factor * factor * sum_of_block(products) / static_cast<float>(width);
    for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      const float v = to_float(in[i]), g = to_float(dy[i]);
      dx[row * width + i] = from_float<T>((g * to_float(weight[i]) - v * shared) * factor);
      dweight[i] += g * v * factor;  // this thread's own columns, in the order of the rows
    }
  }
}

template <typename T, int kCount>
__global__ void silu_mul_kernel(const T* gate, int64_t gate_stride, const T* up, int64_t up_stride, T* y,
                                int64_t width) {
  follow_kernel_in_front();
  const int64_t row = blockIdx.x;
  const int64_t i = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i >= width / kCount) return;
  const auto a = packs_of<T, kCount>(gate + row * gate_stride)[i];
  const auto b = packs_of<T, kCount>(up + row * up_stride)[i];
  Pack<T, kCount> result;
  for (int j = 0; j < kCount; ++j) {
    const float g = to_float(a.at[j]);
    result.at[j] = from_float<T>(g / (expf(-g) + 1.0f) * to_float(b.at[j]));
  }
  packs_of<T, kCount>(y + row * width)[i] = result;
}

// With s = sigmoid(gate): d silu = s (1 + gate (1 - s)).
template <typename T>
__global__ void silu_mul_backward_kernel(const T* grad, const T* gate, const T* up, T* dgate, T* dup, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float g = to_float(gate[i]), d = to_float(grad[i]);
  const float s = 1.0f / (expf(-g) + 1.0f);
  dgate[i] = from_float<T>(d * to_float(up[i]) * s * (g * (1.0f - s) + 1.0f));
  dup[i] = from_float<T>(d * g * s);
}

template <typename T>
__global__ void rope_kernel(const T* x, int64_t stride, const int64_t* positions, RopeTable table, T* y, int64_t heads,
                            int64_t head_dim) {
  const int64_t token = blockIdx.x, half = head_dim / 2;
  const int64_t position = positions[token];
  if (position < 0 || position >= table.rows) __trap();
  const float* cos = table.cos + position * half;
  const float* sin = table.sin + position * half;
  for (int64_t i = threadIdx.x; i < heads * half; i += blockDim.x) {
    const int64_t head = i / half, pair = i % half;
    const T* in = x + token * stride + head * head_dim + pair;
    T* out = y + (token * heads + head) * head_dim + pair;
    const float first = to_float(in[0]), second = to_float(in[half]);
    out[0] = from_float<T>(first * cos[pair] - second * sin[pair]);
    out[half] = from_float<T>(second * cos[pair] + first * sin[pair]);
  }
}

// Calls start(T(), packs), packs a constant: the widest where the operands allow it, else 1.
template <int kCount>
struct Count {
  static constexpr int value = kCount;
};

template <typename Start>
cudaError_t with_packs(Element type, bool floats_pack, bool halves_pack, const Start& start) {
  if (type == Element::kFloat) {
    floats_pack ? start(float(), Count<kWidestPack<float>>()) : start(float(), Count<1>());
  } else {
    halves_pack ? start(__nv_bfloat16(), Count<kWidestPack<__nv_bfloat16>>()) : start(__nv_bfloat16(), Count<1>());
  }
  return cudaGetLastError();
}

struct Operand {
  const void* data;
  int64_t stride;
};

template <typename T, int kOperands>
bool all_pack(const Operand (&operands)[kOperands], int64_t width) {
  for (const Operand& operand : operands) {
    if (!packs<T>(operand.data, operand.stride, width)) return false;
  }
  return true;
}

template <int kOperands, typename Start>
cudaError_t with_widest_packs(Element type, const Operand (&operands)[kOperands], int64_t width, const Start& start) {
  return with_packs(type, all_pack<float>(operands, width), all_pack<__nv_bfloat16>(operands, width), start);
}

}  // namespace

cudaError_t rms_norm(Element type, const void* x, const void* weight, void* y, int64_t rows, int64_t width, float eps,
                     cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  const Operand operands[] = {{x, width}, {weight, width}, {y, width}};
  return with_widest_packs(type, operands, width, [&](auto element, auto count) {
    using T = decltype(element);
    constexpr int kCount = decltype(count)::value;
    launch_following(rms_norm_kernel<T, kCount>, dim3(static_cast<unsigned>(rows)), threads_for(width / kCount), 0,
                     stream, static_cast<const T*>(x), static_cast<const T*>(weight), static_cast<T*>(y), width, eps);
  });
}

cudaError_t add_rms_norm(Element type, const void* x, const void* residual, const void* weight, void* sum, void* normed,
                         int64_t rows, int64_t width, float eps, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  const Operand operands[] = {{x, width}, {residual, width}, {weight, width}, {sum, width}, {normed, width}};
  return with_widest_packs(type, operands, width, [&](auto element, auto count) {
    using T = decltype(element);
    constexpr int kCount = decltype(count)::value;
    launch_following(add_rms_norm_kernel<T, kCount>, dim3(static_cast<unsigned>(rows)), threads_for(width / kCount), 0,
                     stream, static_cast<const T*>(x), static_cast<const T*>(residual), static_cast<const T*>(weight),
                     static_cast<T*>(sum), static_cast<T*>(normed), width, eps);
  });
}

cudaError_t rms_norm_backward(Element type, const void* grad, const void* x, const void* weight, void* dx,
                              float* partial, int64_t rows, int64_t width, float eps, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    launch(rms_norm_backward_kernel<T>, blocks_for(rows, kNormBackwardRows), threads_for(width), 0, stream,
           static_cast<const T*>(grad), static_cast<const T*>(x), static_cast<const T*>(weight), static_cast<T*>(dx),
           partial, rows, width, eps);
  });
}

cudaError_t silu_mul(Element type, Rows gate, Rows up, void* y, int64_t rows, int64_t width, cudaStream_t stream) {
  if (rows == 0 || width == 0) return cudaSuccess;
  constexpr int kThreads = 256;
  const Operand operands[] = {{gate.data, gate.stride}, {up.data, up.stride}, {y, width}};
  return with_widest_packs(type, operands, width, [&](auto element, auto count) {
    using T = decltype(element);
    constexpr int kCount = decltype(count)::value;
    const dim3 blocks(static_cast<unsigned>(rows), blocks_for(width / kCount, kThreads));
    launch_following(silu_mul_kernel<T, kCount>, blocks, kThreads, 0, stream, static_cast<const T*>(gate.data),
                     gate.stride, static_cast<const T*>(up.data), up.stride, static_cast<T*>(y), width);
  });
}

cudaError_t silu_mul_backward(Element type, const void* grad, const void* gate, const void* up, void* dgate, void* dup,
                              int64_t count, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  constexpr int kThreads = 256;
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    launch(silu_mul_backward_kernel<T>, blocks_for(count, kThreads), kThreads, 0, stream, static_cast<const T*>(grad),
           static_cast<const T*>(gate), static_cast<const T*>(up), static_cast<T*>(dgate), static_cast<T*>(dup), count);
  });
}

cudaError_t apply_rope(Element type, Rows x, const int64_t* positions, RopeTable table, void* y, int64_t tokens,
                       int64_t heads, int64_t head_dim, cudaStream_t stream) {
  if (tokens == 0 || heads == 0) return cudaSuccess;
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    launch(rope_kernel<T>, dim3(static_cast<unsigned>(tokens)), threads_for(heads * head_dim / 2), 0, stream,
           static_cast<const T*>(x.data), x.stride, positions, table, static_cast<T*>(y), heads, head_dim);
  });
}

}  // namespace grpo::kernels::cuda
