#pragma once

#include <cuda_bf16.h>

#include <cstdint>
#include <flashinfer/utils.cuh>
#include <stdexcept>
#include <string>

// bf16 begins with Ampere, where FlashInfer always takes two stages; the kernels of older machines would double the
// time to compile. Group sizes are those of kDecodeGroups.
#undef DISPATCH_COMPUTE_CAP_DECODE_NUM_STAGES_SMEM
#define DISPATCH_COMPUTE_CAP_DECODE_NUM_STAGES_SMEM(capability, NUM_STAGES_SMEM, ...) \
  {                                                                                   \
    (void)capability;                                                                 \
    constexpr uint32_t NUM_STAGES_SMEM = 2;                                           \
    __VA_ARGS__                                                                       \
  }
#define GRPO_GROUP_SIZE(group_size, GROUP_SIZE, size, ...) \
  if (group_size == size) {                                \
    constexpr size_t GROUP_SIZE = size;                    \
    __VA_ARGS__                                            \
  }
#undef DISPATCH_GQA_GROUP_SIZE
#define DISPATCH_GQA_GROUP_SIZE(group_size, GROUP_SIZE, ...)                                                                                      \
  GRPO_GROUP_SIZE(group_size, GROUP_SIZE, 1, __VA_ARGS__)                                                                                         \
  else GRPO_GROUP_SIZE(group_size, GROUP_SIZE, 2, __VA_ARGS__) else GRPO_GROUP_SIZE(group_size, GROUP_SIZE, 3, __VA_ARGS__) else GRPO_GROUP_SIZE( \
      group_size, GROUP_SIZE, 4,                                                                                                                  \
      __VA_ARGS__) else GRPO_GROUP_SIZE(group_size, GROUP_SIZE, 6,                                                                                \
                                        __VA_ARGS__) else GRPO_GROUP_SIZE(group_size, GROUP_SIZE, 8,                                              \
                                                                          __VA_ARGS__) else return cudaErrorInvalidValue;

#include <flashinfer/attention/scheduler.cuh>
#include <flashinfer/attention/variants.cuh>
#include <flashinfer/page.cuh>

#include "kernels/cuda/flashinfer.h"
#include "kernels/cuda/launch.cuh"

// What the decode and the prefill kernels share.

namespace grpo::kernels::cuda {

using Half = __nv_bfloat16;
using PlainAttention = flashinfer::DefaultAttention</*use_custom_mask=*/false, /*use_sliding_window=*/false,
                                                    /*use_logits_soft_cap=*/false, /*use_alibi=*/false>;

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string("FlashInfer ") + what + ": " + cudaGetErrorString(status));
}

// FlashInfer's functions take pointers to what they only read.
template <typename T>
T* unconst(const T* pointer) {
  return const_cast<T*>(pointer);
}

template <typename T>
T* at_offset(void* base, int64_t bytes) {
  return reinterpret_cast<T*>(static_cast<char*>(base) + bytes);
}

inline flashinfer::paged_kv_t<Half, int32_t> paged_kv(const HostPages& sizes, const DevicePages& pages,
                                                      const AttentionOperands& operands, uint32_t head_dim) {
  return {static_cast<uint32_t>(sizes.kv_heads),
          static_cast<uint32_t>(sizes.page_size),
          head_dim,
          static_cast<uint32_t>(sizes.sequences),
          flashinfer::QKVLayout::kNHD,
          static_cast<Half*>(const_cast<void*>(operands.keys)),
          static_cast<Half*>(const_cast<void*>(operands.values)),
          unconst(pages.page_ids),
          unconst(pages.page_offsets),
          unconst(pages.last_page_lengths)};
}

}  // namespace grpo::kernels::cuda
