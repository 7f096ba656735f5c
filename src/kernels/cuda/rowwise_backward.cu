#include "kernels/cuda/packs.cuh"
#include "kernels/cuda/update_launchers.h"

// The operands are activations of a whole micro-batch, so memory bounds these kernels: each element is read or written
// only once, in packs.

namespace grpo::kernels::cuda {
namespace {

constexpr int kMostThreads = 512;  // threads_for() returns no more

// y = f x w with f = 1 / sqrt(mean(x^2) + eps): dx = f (dy w - x f^2 mean(dy w x)), dweight += dy f x. A block takes
// kNormBackwardRows rows; each thread holds its columns of the weight and of the weight's gradient in registers.
template <typename T, int kCount, int kPacks>
__global__ void rms_norm_backward_kernel(const T* grad, const T* x, const T* weight, T* dx, float* partial,
                                         int64_t rows, int64_t width, float eps) {
  const int64_t packs = width / kCount;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kNormBackwardRows;
  const int64_t end = min(rows, first + kNormBackwardRows);
  Pack<T, kCount> scale[kPacks] = {}, in[kPacks] = {}, dy[kPacks] = {};
  Pack<float, kCount> dweight[kPacks] = {};
  for (int k = 0; k < kPacks; ++k) {
    const int64_t i = threadIdx.x + static_cast<int64_t>(k) * blockDim.x;
    if (i < packs) scale[k] = packs_of<T, kCount>(weight)[i];
  }
  for (int64_t row = first; row < end; ++row) {
    float squares = 0.0f, products = 0.0f;
    for (int k = 0; k < kPacks; ++k) {
      const int64_t i = threadIdx.x + static_cast<int64_t>(k) * blockDim.x;
      if (i >= packs) continue;
      in[k] = packs_of<T, kCount>(x + row * width)[i];
      dy[k] = packs_of<T, kCount>(grad + row * width)[i];
      for (int j = 0; j < kCount; ++j) {
        const float v = to_float(in[k].at[j]);
        squares += v * v;
        products += to_float(dy[k].at[j]) * to_float(scale[k].at[j]) * v;
      }
    }
    const float factor = norm_factor(sum_of_block(squares), width, eps);
    const float shared = factor * factor * sum_of_block(products) / static_cast<float>(width);
    for (int k = 0; k < kPacks; ++k) {
      const int64_t i = threadIdx.x + static_cast<int64_t>(k) * blockDim.x;
      if (i >= packs) continue;
      Pack<T, kCount> result;
      for (int j = 0; j < kCount; ++j) {
        const float v = to_float(in[k].at[j]), g = to_float(dy[k].at[j]);
        result.at[j] = from_float<T>((g * to_float(scale[k].at[j]) - v * shared) * factor);
        dweight[k].at[j] += g * v * factor;
      }
      packs_of<T, kCount>(dx + row * width)[i] = result;
    }
  }
  float* sums = partial + static_cast<int64_t>(blockIdx.x) * width;
  for (int k = 0; k < kPacks; ++k) {
    const int64_t i = threadIdx.x + static_cast<int64_t>(k) * blockDim.x;
    for (int j = 0; i < packs && j < kCount; ++j) sums[i * kCount + j] = dweight[k].at[j];
  }
}

// For rows too wide for the registers of a block: they are read twice, and the weight's gradient is summed in memory.
template <typename T>
__global__ void wide_rms_norm_backward_kernel(const T* grad, const T* x, const T* weight, T* dx, float* partial,
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

// With s = sigmoid(gate), silu(gate) = gate s and its derivative is s (1 + gate (1 - s)).
template <typename T, int kCount>
__global__ void silu_mul_backward_kernel(T* grad, const T* gate_up, T* grad_gate_up, int64_t width) {
  const int64_t row = blockIdx.x;
  const int64_t i = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (i >= width / kCount) return;
  const int64_t pair = 2 * row * width;
  const auto gate = packs_of<T, kCount>(gate_up + pair)[i], up = packs_of<T, kCount>(gate_up + pair + width)[i];
  auto* const through = packs_of<T, kCount>(grad + row * width) + i;
  const auto dy = *through;
  Pack<T, kCount> result, dgate, dup;
  for (int j = 0; j < kCount; ++j) {
    const float g = to_float(gate.at[j]), u = to_float(up.at[j]), d = to_float(dy.at[j]);
    const float below = expf(-g) + 1.0f, s = 1.0f / below;
    result.at[j] = from_float<T>(g / below * u);  // the formula of silu_mul, so that both round alike
    dgate.at[j] = from_float<T>(d * u * s * (g * (1.0f - s) + 1.0f));
    dup.at[j] = from_float<T>(d * g * s);
  }
  *through = result;
  packs_of<T, kCount>(grad_gate_up + pair)[i] = dgate;
  packs_of<T, kCount>(grad_gate_up + pair + width)[i] = dup;
}

// Each thread rotates one pack of pairs.
template <typename T, int kCount>
__global__ void rope_into_kernel(const T* x, int64_t x_stride, const int64_t* positions, RopeTable table, T* y,
                                 int64_t y_stride, int64_t tokens, int64_t heads, int64_t head_dim) {
  const int64_t half = head_dim / 2, packs = half / kCount;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= tokens * heads * packs) return;
  const int64_t token = i / (heads * packs), head = i / packs % heads, pack = i % packs;
  const int64_t position = positions[token];
  if (position < 0 || position >= table.rows) __trap();
  const auto c = packs_of<float, kCount>(table.cos + position * half)[pack];
  const auto s = packs_of<float, kCount>(table.sin + position * half)[pack];
  const T* in = x + token * x_stride + head * head_dim;
  T* out = y + token * y_stride + head * head_dim;
  const auto first = packs_of<T, kCount>(in)[pack], second = packs_of<T, kCount>(in + half)[pack];
  Pack<T, kCount> left, right;
  for (int j = 0; j < kCount; ++j) {
    const float a = to_float(first.at[j]), b = to_float(second.at[j]);
    left.at[j] = from_float<T>(a * c.at[j] - b * s.at[j]);
    right.at[j] = from_float<T>(b * c.at[j] + a * s.at[j]);
  }
  packs_of<T, kCount>(out)[pack] = left;
  packs_of<T, kCount>(out + half)[pack] = right;
}

template <typename T, int kCount, int kPacks>
void start_rms_norm_backward(const void* grad, const void* x, const void* weight, void* dx, float* partial,
                             int64_t rows, int64_t width, float eps, cudaStream_t stream) {
  const int64_t packs_of_a_thread = (width / kCount + kPacks - 1) / kPacks;
  launch(rms_norm_backward_kernel<T, kCount, kPacks>, blocks_for(rows, kNormBackwardRows),
         threads_for(packs_of_a_thread), 0, stream, static_cast<const T*>(grad), static_cast<const T*>(x),
         static_cast<const T*>(weight), static_cast<T*>(dx), partial, rows, width, eps);
}

}  // namespace

cudaError_t rms_norm_backward(Element type, const void* grad, const void* x, const void* weight, void* dx,
                              float* partial, int64_t rows, int64_t width, float eps, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  const Operand operands[] = {{grad, width}, {x, width}, {weight, width}, {dx, width}};
  return with_widest_packs(type, operands, width, [&](auto element, auto count) {
    using T = decltype(element);
    constexpr int kCount = decltype(count)::value;
    const int64_t packs = width / kCount;
    const auto start = [&](auto kernel) { kernel(grad, x, weight, dx, partial, rows, width, eps, stream); };
    if (packs <= kMostThreads) {
      start(start_rms_norm_backward<T, kCount, 1>);
    } else if (packs <= 2 * kMostThreads) {
      start(start_rms_norm_backward<T, kCount, 2>);
    } else {
      launch(wide_rms_norm_backward_kernel<T>, blocks_for(rows, kNormBackwardRows), threads_for(width), 0, stream,
             static_cast<const T*>(grad), static_cast<const T*>(x), static_cast<const T*>(weight), static_cast<T*>(dx),
             partial, rows, width, eps);
    }
  });
}

cudaError_t silu_mul_backward(Element type, void* grad, const void* gate_up, void* grad_gate_up, int64_t rows,
                              int64_t width, cudaStream_t stream) {
  if (rows == 0 || width == 0) return cudaSuccess;
  constexpr int kThreads = 256;
  const Operand operands[] = {{grad, width}, {gate_up, width}, {grad_gate_up, width}};
  return with_widest_packs(type, operands, width, [&](auto element, auto count) {
    using T = decltype(element);
    constexpr int kCount = decltype(count)::value;
    const dim3 blocks(static_cast<unsigned>(rows), blocks_for(width / kCount, kThreads));
    launch(silu_mul_backward_kernel<T, kCount>, blocks, kThreads, 0, stream, static_cast<T*>(grad),
           static_cast<const T*>(gate_up), static_cast<T*>(grad_gate_up), width);
  });
}

cudaError_t rope_into(Element type, Rows x, const int64_t* positions, RopeTable table, void* y, int64_t y_stride,
                      int64_t tokens, int64_t heads, int64_t head_dim, cudaStream_t stream) {
  if (tokens == 0 || heads == 0) return cudaSuccess;
  constexpr int kThreads = 256;
  const int64_t half = head_dim / 2;
  // A pack of the tables has as many elements as one of the heads.
  const Operand heads_of[] = {{x.data, x.stride}, {y, y_stride}}, tables[] = {{table.cos, half}, {table.sin, half}};
  const auto begins = [](const float* x) {
    return reinterpret_cast<uintptr_t>(x) % sizeof(Pack<float, kWidestPack<__nv_bfloat16>>) == 0;
  };
  const bool aligned = all_pack<float>(tables, half) && begins(table.cos) && begins(table.sin);
  return with_packs(type, aligned && all_pack<float>(heads_of, half),
                    aligned && all_pack<__nv_bfloat16>(heads_of, half), [&](auto element, auto count) {
                      using T = decltype(element);
                      constexpr int kCount = decltype(count)::value;
                      launch(rope_into_kernel<T, kCount>, blocks_for(tokens * heads * (half / kCount), kThreads),
                             kThreads, 0, stream, static_cast<const T*>(x.data), x.stride, positions, table,
                             static_cast<T*>(y), y_stride, tokens, heads, head_dim);
                    });
}

}  // namespace grpo::kernels::cuda
