#include "kernels/cuda/packs.cuh"

// Every sum over a row has a fixed order, so a row's result does not depend on the rows beside it. Products and sums
// are fp32 and are rounded once, where the CPU kernels round.

namespace grpo::kernels::cuda {
namespace {

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
    const auto pack = total[i], scale = w[i];  // total[i] was written by this same thread
    Pack<T, kCount> result;
    for (int j = 0; j < kCount; ++j)
      result.at[j] = from_float<T>(to_float(pack.at[j]) * factor * to_float(scale.at[j]));
    out[i] = result;
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

}  // namespace grpo::kernels::cuda
