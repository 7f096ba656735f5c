#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdint>

#include "grpo/base/error.h"
#include "grpo/kernels/paged_kv.h"
#include "kernels/cuda/launchers.h"

// Turns tensors into the arguments of the launchers.

namespace grpo::kernels::cuda {

inline cudaStream_t stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw base::Error(base::concat(what, ": ", cudaGetErrorString(status)));
}

inline Element element_of(const at::Tensor& x, const char* what) {
  GRPO_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, what, " of ",
             c10::toString(x.scalar_type()));
  return x.scalar_type() == at::kFloat ? Element::kFloat : Element::kBFloat16;
}

/// x: [n, ...] whose x[i] are dense.
inline Rows rows_of(const at::Tensor& x) { return {x.const_data_ptr(), x.stride(0)}; }

inline Layout layout_of(const PagedLayout& layout) {
  return {.query_offsets = layout.query_offsets.const_data_ptr<int32_t>(),
          .context_lengths = layout.context_lengths.const_data_ptr<int32_t>(),
          .page_offsets = layout.page_offsets.const_data_ptr<int32_t>(),
          .page_ids = layout.page_ids.const_data_ptr<int32_t>(),
          .sequences = static_cast<int32_t>(layout.context_lengths.size(0))};
}

inline Cache cache_of(const PagedKv& cache) {
  return {.keys = cache.keys.data_ptr(),
          .values = cache.values.data_ptr(),
          .page_size = cache.keys.size(1),
          .kv_heads = cache.keys.size(2),
          .head_dim = cache.keys.size(3)};
}

}  // namespace grpo::kernels::cuda
