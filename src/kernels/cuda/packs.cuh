#pragma once

#include "kernels/cuda/device.cuh"

// Rows that are read and written in packs, as wide as the operands allow.

namespace grpo::kernels::cuda {

template <typename T, int kCount>
__device__ const Pack<T, kCount>* packs_of(const T* row) {
  return reinterpret_cast<const Pack<T, kCount>*>(row);
}

template <typename T, int kCount>
__device__ Pack<T, kCount>* packs_of(T* row) {
  return reinterpret_cast<Pack<T, kCount>*>(row);
}

__device__ inline float norm_factor(float squares, int64_t width, float eps) {
  return 1.0f / sqrtf(squares / static_cast<float>(width) + eps);
}

template <int kCount>
struct Count {
  static constexpr int value = kCount;
};

// Calls start(T(), Count<n>()), where n is the widest pack if the operands allow it, else 1.
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

}  // namespace grpo::kernels::cuda
