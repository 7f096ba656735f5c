#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace grpo::kernels {

/// A tensor's numbers; null where it is undefined.
template <typename T>
T* mutable_data(const at::Tensor& x) {
  return x.defined() ? static_cast<T*>(x.mutable_data_ptr()) : nullptr;
}
template <typename T>
const T* const_data(const at::Tensor& x) {
  return x.defined() ? static_cast<const T*>(x.const_data_ptr()) : nullptr;
}

/// x itself where the elements of each x[i] lie densely (columns of a wider matrix), otherwise a copy.
inline at::Tensor with_dense_rows(const at::Tensor& x) {
  int64_t dense = 1;
  for (int64_t d = x.dim() - 1; d > 0; --d) {
    if (x.size(d) != 1 && x.stride(d) != dense) return x.contiguous();
    dense *= x.size(d);
  }
  return x;
}

}  // namespace grpo::kernels
